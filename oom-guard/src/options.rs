//! What the user asked for: the command line, the environment variables, and the settings made of both.

pub mod allowance;
pub mod cli;
pub mod help;
mod mistakes;
pub mod parse;
mod project;
pub mod settings;
pub mod size;
mod words;
