//! Opening the report, on an interactive desktop only: a batch job must never start a browser.

use std::env;
use std::path::Path;

use webbrowser::{Browser, BrowserOptions};

use crate::terminal::say::is_seen;

/// Whether somebody sits there who would see a browser: a terminal, and a display or a browser of choice.
pub fn has_audience() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    is_seen() && ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].into_iter().any(is_set)
}

/// Opens a page. Where that fails, its path has been printed anyway.
pub fn open(page: &Path) {
    if let Some(page) = page.to_str() {
        let mut options = BrowserOptions::new();
        options.with_suppress_output(true);
        let _ = webbrowser::open_browser_with_options(Browser::Default, page, &options);
    }
}
