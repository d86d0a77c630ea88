//! What the page allows itself: its own style and script, and nothing from anywhere.

/// All of the page's style.
pub(super) const STYLE: &str = include_str!("../../../templates/page/page.css");

/// All of the page's script, in the order of its files.
pub(super) const SCRIPT: &str = concat!(
    include_str!("../../../templates/page/units.js"),
    include_str!("../../../templates/page/tree.js"),
    include_str!("../../../templates/page/flame.js"),
    include_str!("../../../templates/page/chart.js"),
    include_str!("../../../templates/page/table.js"),
    include_str!("../../../templates/page/page.js"),
);

/// The content security policy. A browser that finds another style or script in the page ignores it.
pub(super) const POLICY: &str = concat!(
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-",
    include_str!("../../../templates/page/page.css.sha256"),
    "'; script-src 'sha256-",
    include_str!("../../../templates/page/page.js.sha256"),
    "'"
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `BLESS=1` writes what is expected.
    fn is_hash_of(text: &str, known: &str, file: &str) {
        use base64::Engine;
        use sha2::Digest;
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
        if std::env::var_os("BLESS").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/page").join(file);
            std::fs::write(path, &hash).unwrap();
        } else {
            assert_eq!(known, hash, "templates/page/{file} is of another text");
        }
    }

    #[test]
    fn the_policy_allows_this_style_and_this_script() {
        is_hash_of(
            STYLE,
            include_str!("../../../templates/page/page.css.sha256"),
            "page.css.sha256",
        );
        is_hash_of(
            SCRIPT,
            include_str!("../../../templates/page/page.js.sha256"),
            "page.js.sha256",
        );
    }

    #[test]
    fn nothing_is_asked_of_the_network() {
        for text in [STYLE, SCRIPT] {
            for word in ["http:", "https:", "url(", "import ", "fetch(", "</"] {
                // The one address is a name, of a namespace.
                let text = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains(word), "{word}");
            }
        }
    }
}
