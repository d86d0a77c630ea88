//! The encoding of a Python source file: a byte order mark, a declaration as in PEP 263, or UTF-8.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// The text of a source file. What its encoding does not allow is replaced, never an error.
pub(super) fn decode(bytes: Vec<u8>) -> String {
    // A byte order mark wins over the declaration, as it does in Python.
    let (text, _, _) = declared(&bytes).unwrap_or(UTF_8).decode(&bytes);
    match text {
        Cow::Owned(text) => text,
        // All of the bytes but for a mark, and valid.
        Cow::Borrowed(text) => match bytes.len() - text.len() {
            0 => String::from_utf8(bytes).unwrap_or_default(),
            _ => text.to_owned(),
        },
    }
}

fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
    let first = lines.next()?;
    if let Some(encoding) = declaration(first) {
        return Some(encoding);
    }
    if !is_comment_or_blank(first) {
        return None;
    }
    // Between CR and LF there is an empty piece, which is no line.
    let second = if bytes.get(first.len()..first.len() + 2) == Some(b"\r\n") {
        lines.nth(1)
    } else {
        lines.next()
    };
    declaration(second?)
}

/// `# -*- coding: latin-1 -*-` and the like.
fn declaration(line: &[u8]) -> Option<&'static Encoding> {
    let comment = strip_blanks(line).strip_prefix(b"#")?;
    let after = comment
        .windows(7)
        .enumerate()
        .find(|(_, word)| matches!(*word, b"coding:" | b"coding="))?
        .0
        + 7;
    let name = strip_blanks(&comment[after..]);
    let end = name
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !b"-_.".contains(byte));
    by_python_name(&name[..end.unwrap_or(name.len())])
}

/// Python's names are not all the web's: `latin-1`, `euc_jp`, `mac-roman`.
fn by_python_name(name: &[u8]) -> Option<&'static Encoding> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase().replace('_', "-");
    let alias = match name.as_str() {
        "utf-8-sig" => "utf-8",
        "cp932" | "ms932" => "shift_jis",
        "cp936" => "gbk",
        "cp949" => "euc-kr",
        "cp950" => "big5",
        "mac-roman" => "macintosh",
        "iso-latin-1" => "latin1",
        name if name.starts_with("latin-") => return Encoding::for_label(name.replace('-', "").as_bytes()),
        name => name,
    };
    Encoding::for_label(alias.as_bytes())
}

fn is_comment_or_blank(line: &[u8]) -> bool {
    strip_blanks(line).first().is_none_or(|byte| *byte == b'#')
}

fn strip_blanks(line: &[u8]) -> &[u8] {
    let begin = line
        .iter()
        .position(|byte| !b" \t\x0c".contains(byte))
        .unwrap_or(line.len());
    &line[begin..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(bytes: &[u8]) -> String {
        decode(bytes.to_vec())
    }

    #[test]
    fn a_declaration_in_the_first_two_lines_is_followed() {
        assert_eq!(
            decode_all(b"# -*- coding: latin-1 -*-\nx = '\xe9'"),
            "# -*- coding: latin-1 -*-\nx = 'é'"
        );
        assert!(decode_all(b"#!/usr/bin/python\r\n# vim: set fileencoding=cp1251 :\r\n\xe4").ends_with('д'));
        assert!(decode_all(b"\n# coding=euc_jp\n\xc6\xfc").ends_with('日'));
        assert!(decode_all(b"# coding: iso-8859-15\n\xa4").ends_with('€'));
    }

    #[test]
    fn a_declaration_after_code_is_none() {
        assert!(decode_all(b"x = 1\n# coding: latin-1\n\xe9").ends_with('\u{fffd}'));
        assert!(decode_all(b"\n\n# coding: latin-1\n\xe9").ends_with('\u{fffd}'));
    }

    #[test]
    fn utf_8_is_the_default_and_its_byte_order_mark_is_no_text() {
        assert_eq!(decode_all("größe".as_bytes()), "größe");
        assert_eq!(decode_all(b"\xef\xbb\xbfx = 1"), "x = 1");
        assert_eq!(
            decode_all(b"# coding: no-such-thing\n\xff"),
            "# coding: no-such-thing\n\u{fffd}"
        );
    }
}
