//! The text of `/proc/PID/maps`.

use crate::memory::Mapping;

/// All ranges, in the order of the file, which is that of their addresses. A line that is no mapping is left out.
pub fn parse(text: &str) -> Vec<Mapping> {
    text.lines().filter_map(mapping).collect()
}

/// `7f1c2a000000-7f1c2a021000 rw-p 00000000 00:00 0    path`.
fn mapping(line: &str) -> Option<Mapping> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let mut words = rest.splitn(5, ' ');
    let access = words.next()?;
    let offset = words.next()?;
    let path = words.nth(2).unwrap_or_default();
    let is_readable = access.starts_with('r');
    let mapping = Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        offset: u64::from_str_radix(offset, 16).ok()?,
        is_writable: access.as_bytes().get(1) == Some(&b'w'),
        path: path.trim_start().to_owned(),
    };
    // The kernel's own pages cannot be read from outside, and no object lies there.
    let is_kernels = matches!(&*mapping.path, "[vvar]" | "[vsyscall]" | "[vvar_vclock]");
    (is_readable && !is_kernels).then_some(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_mapping_if_it_can_be_read() {
        let text = "55d0c8a00000-55d0c8a21000 r--p 00001000 08:01 123   /usr/bin/with space\n\
                    7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n\
                    7f0000001000-7f0000002000 ---p 00000000 00:00 0 \n\
                    7ffc00000000-7ffc00001000 r--p 00000000 00:00 0     [vvar]\n\
                    nonsense\n";
        let mappings = parse(text);
        assert_eq!(mappings.len(), 2);
        assert_eq!(
            (mappings[0].offset, &*mappings[0].path),
            (0x1000, "/usr/bin/with space")
        );
        assert!(!mappings[0].is_writable && mappings[1].is_writable);
        assert_eq!(
            (mappings[1].start, mappings[1].end),
            (0x7f00_0000_0000, 0x7f00_0000_1000)
        );
    }
}
