//! A file that may be compressed, without its compression. By gzip it is unpacked here, by anything else by the program for that.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;

/// Bytes that a compressed file is unpacked to, without zeros. Larger ones are for whoever has the room to unpack them.
const MOST_UNPACKED: u64 = 64 << 30;
const GZIP: &[u8] = &[0x1f, 0x8b];
/// How a compressed file begins, and the program that unpacks it from stdin to stdout if it is called with `-dc`.
const PROGRAMS: [(&[u8], &str); 4] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4"),
    (b"BZh", "bzip2"),
];

/// The file, if it begins with `magic` once it is unpacked.
pub fn open(path: &Path, magic: &[u8]) -> io::Result<Option<File>> {
    let mut file = File::open(path)?;
    let begin = beginning(&mut file)?;
    if begin.starts_with(magic) {
        return Ok(Some(file));
    }
    let mut unpacked = if begin.starts_with(GZIP) {
        unpack(MultiGzDecoder::new(file), "gunzip")?
    } else if let Some((_, program)) = PROGRAMS.iter().find(|(magic, _)| begin.starts_with(magic)) {
        unpack_by(program, file)?
    } else {
        return Ok(None);
    };
    let begin = beginning(&mut unpacked)?;
    Ok(begin.starts_with(magic).then_some(unpacked))
}

/// The first bytes of a file, which is at its first byte afterwards.
fn beginning(file: &mut File) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(8).read_to_end(&mut begin)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(begin)
}

fn unpack_by(program: &str, file: File) -> io::Result<File> {
    let mut command = Command::new(program);
    let command = command
        .arg("-dc")
        .stdin(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => is_packed(program, "that program is not there"),
        _ => error,
    })?;
    let unpacked = match child.stdout.take() {
        Some(out) => unpack(out, program),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    };
    // Its stdout is closed by now, so it ends.
    match child.wait()?.success() {
        false if unpacked.is_ok() => Err(is_packed(program, "that program says that it is damaged")),
        _ => unpacked,
    }
}

/// The content in a file that goes when it is closed. Zeros take no room in it. Nobody else may read it: a core file has all that the
/// process knew.
fn unpack(mut compressed: impl Read, program: &str) -> io::Result<File> {
    const BLOCK: usize = 64 << 10;
    let path = std::env::temp_dir().join(format!("fil-profile-core-{}", std::process::id()));
    let mut options = File::options();
    let mut out = options
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    let mut block = vec![0; BLOCK];
    let (mut length, mut written) = (0, 0);
    loop {
        let mut count = 0;
        while count < BLOCK {
            match compressed.read(&mut block[count..])? {
                0 => break,
                more => count += more,
            }
        }
        if count == 0 {
            break;
        }
        if block[..count].iter().any(|byte| *byte != 0) {
            written += count as u64;
            if written > MOST_UNPACKED {
                return Err(is_packed(program, "it is too large for that to be done here"));
            }
            out.seek(SeekFrom::Start(length))?;
            out.write_all(&block[..count])?;
        }
        length += count as u64;
    }
    out.set_len(length)?;
    Ok(out)
}

fn is_packed(program: &str, why: &str) -> io::Error {
    let text = format!("it is compressed; unpack it first by {program}: {why}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn opened(content: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(content)?;
        let Some(mut opened) = open(file.path(), b"core")? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    #[test]
    fn a_file_is_unpacked_if_it_has_what_is_wanted() {
        let mut content = b"core and more".to_vec();
        content.resize(300_000, 0);
        content.push(7);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&content).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(opened(&content).unwrap(), Some(content.clone()));
        assert_eq!(opened(&packed).unwrap(), Some(content));
        assert_eq!(opened(b"other").unwrap(), None);
        assert_eq!(opened(b"").unwrap(), None);
        assert!(opened(&packed[..packed.len() / 2]).is_err());
    }

    #[test]
    fn what_is_damaged_or_cannot_be_unpacked_is_told_with_the_program_for_it() {
        for (magic, program) in PROGRAMS {
            let error = opened(&[magic, b"no such thing"].concat()).unwrap_err();
            assert!(error.to_string().contains(program), "{error}");
        }
    }
}
