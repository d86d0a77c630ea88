//! Where text leaves this program for a document: one type for each target, which knows what the target takes for a command.
//!
//! Names come from the job, or from the author of a bundle. A terminal obeys control characters, a spreadsheet computes formulas, a
//! browser obeys tags, and all of them reorder text around bidirectional controls. So nothing writes a name to a document but
//! through one of these, and none of them has a way to write a name as it is:
//!
//! | target | type |
//! |---|---|
//! | lines, for a terminal or a log | [`Lines`] |
//! | a spreadsheet | [`Sheet`] |
//! | programs that read JSON | [`to_json`]: as given, but written so that a terminal may show it |
//! | the page's script | [`to_page`]: as a reader may see it, and unable to end the script element |
//! | HTML and SVG | [`Markup`], which every template uses |
//!
//! `fil-profile` has its own for its messages, in `oom-guard/src/terminal/say.rs`.

mod json;
mod lines;
mod markup;
mod sheet;

pub use json::to_json_pretty;
pub(crate) use json::{to_json, to_page};
pub(crate) use lines::Lines;
pub(crate) use markup::Markup;
pub(crate) use sheet::{Cell, Sheet, text_of_cell};
