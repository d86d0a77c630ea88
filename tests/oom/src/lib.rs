//! Harness for jobs that really die.
