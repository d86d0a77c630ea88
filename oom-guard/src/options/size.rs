//! Sizes as people write them: `16MiB`, `16M`, `0`.

/// Bytes of a size. `K`, `M`, `G`, `T`, alone or with `iB`, are powers of 1024; with `B` alone, powers of 1000.
pub fn parse(text: &str) -> Result<u64, String> {
    let explain = || "write a size like 16MiB, 64K or 4096".to_owned();
    let text = text.trim();
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let number: u64 = number.parse().map_err(|_| explain())?;
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(explain()),
    };
    number
        .checked_mul(unit)
        .ok_or_else(|| "that is more than there is".to_owned())
}

/// As [`parse`], but not zero.
pub fn parse_positive(text: &str) -> Result<u64, String> {
    match parse(text)? {
        0 => Err("it must be at least 1".to_owned()),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_may_have_any_usual_suffix() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("10B", 10),
            ("16M", 16 << 20),
            ("16MiB", 16 << 20),
            ("16 mib", 16 << 20),
            ("2k", 2048),
            ("3g", 3 << 30),
            ("1T", 1 << 40),
            ("16MB", 16_000_000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "M",
            "16X",
            "-1",
            "1.5G",
            "16MiBs",
            "iB",
            "1iB",
            "99999999999999T",
            "20000000000000000000",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_positive("0").is_err());
    }
}
