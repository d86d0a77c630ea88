//! An SVG, read as strictly as a browser does.

use std::path::Path;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

/// A well-formed SVG.
#[derive(Debug)]
pub struct Svg {
    /// Texts of the `<title>` elements: what hovering over a frame shows.
    pub titles: Vec<String>,
    /// Texts of the `<text>` elements.
    pub texts: Vec<String>,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Svg {
    /// Reads a file; panics where a browser would show an error instead of a picture.
    pub fn load(path: &Path) -> Svg {
        let source = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Svg::parse(&source).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
    }

    fn parse(source: &str) -> Result<Svg, String> {
        let mut svg = Svg {
            titles: Vec::new(),
            texts: Vec::new(),
            bytes: source.len() as u64,
        };
        let mut reader = Reader::from_str(source);
        let mut open: Vec<String> = Vec::new();
        let mut roots = 0;
        loop {
            let at = reader.buffer_position();
            let event = reader.read_event().map_err(|error| format!("at byte {at}: {error}"))?;
            match event {
                Event::Start(element) => {
                    check_attributes(&element)?;
                    let name = element.name().as_ref().to_owned();
                    roots += usize::from(open.is_empty());
                    match name.as_str() {
                        "title" => svg.titles.push(String::new()),
                        "text" => svg.texts.push(String::new()),
                        _ => {}
                    }
                    open.push(name);
                }
                Event::Empty(element) => check_attributes(&element)?,
                Event::End(_) => drop(open.pop()),
                Event::Text(text) => svg.take(open.last(), &text.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let reference = format!("&{};", reference.xml10_content());
                    let text = unescape(&reference).map_err(|error| format!("at byte {at}: {error}"))?;
                    svg.take(open.last(), &text)?;
                }
                Event::CData(text) => legal(&text.xml10_content())?,
                Event::Eof if open.is_empty() && roots == 1 => return Ok(svg),
                Event::Eof => return Err(format!("{roots} roots, open at the end: {open:?}")),
                _ => {}
            }
        }
    }

    fn take(&mut self, element: Option<&String>, text: &str) -> Result<(), String> {
        legal(text)?;
        let list = match element.map(String::as_str) {
            Some("title") => &mut self.titles,
            Some("text") => &mut self.texts,
            _ => return Ok(()),
        };
        if let Some(last) = list.last_mut() {
            last.push_str(text);
        }
        Ok(())
    }
}

fn check_attributes(element: &quick_xml::events::BytesStart<'_>) -> Result<(), String> {
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.value;
        if value.contains('<') {
            return Err(format!("`<` in an attribute: {value:?}"));
        }
        legal(&unescape(&value).map_err(|error| error.to_string())?)?;
    }
    Ok(())
}

/// XML 1.0, production 2: the characters that may not appear even escaped.
fn legal(text: &str) -> Result<(), String> {
    let illegal = |c: char| (c < ' ' && !"\t\n\r".contains(c)) || matches!(c, '\u{fffe}' | '\u{ffff}');
    match text.chars().find(|c| illegal(*c)) {
        Some(c) => Err(format!("illegal character {c:?} in {text:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Svg;

    #[test]
    fn what_a_browser_refuses_is_refused() {
        for broken in [
            "<svg><text>a < b</text></svg>",
            "<svg><text>a & b</text></svg>",
            "<svg><text a=\"<\"/></svg>",
            "<svg><text>\u{1}</text></svg>",
            "<svg><text>&#1;</text></svg>",
            "<svg><text a=\"1\" a=\"2\"/></svg>",
            "<svg><text></svg>",
            "<svg><text>",
            "<svg/><svg></svg><svg></svg>",
            "",
        ] {
            assert!(Svg::parse(broken).is_err(), "{broken:?} passed");
        }
    }

    #[test]
    fn titles_are_read_unescaped() {
        let svg = Svg::parse("<svg><title>a &lt;b&gt; &amp; c</title></svg>").unwrap();
        assert_eq!(svg.titles, ["a <b> & c"]);
    }
}
