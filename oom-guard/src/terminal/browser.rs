//! Opens the report in a browser, only on an interactive desktop: a batch job must never start one.

use std::env;
use std::path::Path;

use webbrowser::{Browser, BrowserOptions};

use crate::terminal::say::is_seen;

/// Whether a user would see a browser: there is a terminal, and a display or a chosen browser.
pub fn has_audience() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    is_seen() && ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].into_iter().any(is_set)
}

/// Opens a page. A failure is ignored: its path has been printed anyway.
pub fn open(page: &Path) {
    if let Some(page) = page.to_str() {
        let mut options = BrowserOptions::new();
        options.with_suppress_output(true);
        let _ = webbrowser::open_browser_with_options(Browser::Default, page, &options);
    }
}
