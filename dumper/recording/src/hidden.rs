//! Which characters of a name must be escaped before a user sees them. The library and the reports use the same rule.

/// Whether a character has no glyph, controls a terminal, or reorders the text around it: control characters, line separators, and
/// what Unicode calls default-ignorable or a bidirectional control. They are invisible, but make two names look the same.
pub fn is_hidden(character: char) -> bool {
    match character {
        ' '..='~' => false,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{fdd0}'..='\u{fdef}' | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{16fe4}' => true,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' => true,
        '\u{e0000}'..='\u{e0fff}' => true,
        _ => character.is_control() || matches!(character as u32 & 0xffff, 0xfffe | 0xffff),
    }
}

#[cfg(test)]
mod tests {
    use super::is_hidden;

    #[test]
    fn what_hides_commands_or_reorders_is_hidden_and_writing_is_not() {
        let hidden = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{2028}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0041}\u{10ffff}\u{fdd0}\u{fdef}\u{13430}\u{1343f}\u{16fe4}\u{1d159}";
        assert!(hidden.chars().all(is_hidden));
        assert!(!"aZ ~größe 数 שלום 🎉 \u{a0}…→".chars().any(is_hidden));
    }
}
