//! Finds the preload, and makes a path to it that can stand in `LD_PRELOAD`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::folder::RunFolder;
use crate::folder::names::LIBRARY;

/// The library beside this executable, or in `../lib/fil-profile` of where it is installed.
pub fn find() -> Result<PathBuf, String> {
    let program = fs::read_link("/proc/self/exe").map_err(|error| format!("/proc/self/exe: {error}"))?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    let places = [folder.join(LIBRARY), folder.join("../lib/fil-profile").join(LIBRARY)];
    let found = places.into_iter().find(|place| place.is_file());
    found.ok_or_else(|| {
        format!(
            "{} is missing; it belongs beside the program",
            folder.join(LIBRARY).display()
        )
    })
}

/// A path to `library` that can stand in `LD_PRELOAD`, where spaces and colons separate names and nothing can quote
/// them: its own if it has none, else that of a link in the run folder or a folder of our own for temporary files.
///
/// The link outlives the run: processes of the job may live on and start programs.
pub fn nameable(library: &Path, run_folder: Option<&RunFolder>) -> Result<PathBuf, String> {
    if is_nameable(library) {
        return Ok(library.to_owned());
    }
    // Somebody who can exchange the run folder could make the job load any library.
    if let Some(run) = run_folder.filter(|run| is_nameable(&run.path) && run.is_safely_kept()) {
        let made = run.folder.link(library, LIBRARY);
        return made.map(|()| run.path.join(LIBRARY)).map_err(|error| error.to_string());
    }
    let mut failed = String::new();
    for place in [std::env::temp_dir(), "/tmp".into()]
        .iter()
        .filter(|place| is_nameable(place))
    {
        match link_in(&place.join(format!("fil-profile-{}", geteuid())), library) {
            Ok(link) => return Ok(link),
            Err(error) => failed = format!(": {}: {error}", place.display()),
        }
    }
    Err(format!(
        "{} has a space or a colon, and no link can be made{failed}",
        library.display()
    ))
}

/// Makes the link in a folder that nobody else can write to.
fn link_in(folder: &Path, library: &Path) -> io::Result<PathBuf> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let about = fs::symlink_metadata(folder)?;
    if !about.is_dir() || about.uid() != geteuid().as_raw() || about.mode() & 0o022 != 0 {
        return Err(io::Error::other("somebody else's folder"));
    }
    let mut hasher = DefaultHasher::new();
    library.hash(&mut hasher);
    let link = folder.join(format!("libpreload-{:016x}.so", hasher.finish()));
    match symlink(library, &link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::read_link(&link)? == library => Ok(link),
        made => made.map(|()| link),
    }
}

fn is_nameable(path: &Path) -> bool {
    path.is_absolute()
        && !path
            .as_os_str()
            .as_bytes()
            .iter()
            .any(|byte| separates(*byte) || *byte == b'$')
}

/// Whether ld.so takes this byte for the end of a name.
fn separates(byte: u8) -> bool {
    byte == b':' || byte == b' '
}

/// `LD_PRELOAD` with our library first and the user's after it.
pub fn ld_preload(library: &Path, users: Option<&OsStr>) -> OsString {
    let ours = library.as_os_str().as_bytes();
    let mut names = vec![ours];
    let users = users.unwrap_or_default().as_bytes();
    names.extend(
        users
            .split(|byte| separates(*byte))
            .filter(|name| !name.is_empty() && *name != ours),
    );
    OsString::from_vec(names.join(&b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_libraries_follow_ours() {
        let value = |users: &str| ld_preload(Path::new("/l/our.so"), Some(OsStr::new(users)));
        assert_eq!(ld_preload(Path::new("/l/our.so"), None), "/l/our.so");
        assert_eq!(value("/a.so /b.so:c.so"), "/l/our.so:/a.so:/b.so:c.so");
        assert_eq!(value("/l/our.so:/a.so"), "/l/our.so:/a.so");
        assert_eq!(value(""), "/l/our.so");
    }

    #[test]
    fn a_library_with_a_space_in_its_path_gets_a_link_without() {
        let place = tempfile::tempdir().unwrap();
        let library = place.path().join("my libs");
        fs::create_dir(&library).unwrap();
        let library = library.join("libpreload.so");
        fs::write(&library, "elf").unwrap();
        let clumsy_run = place.path().join("my runs");
        let now = crate::terminal::local_time::now();
        for folder in [place.path(), &clumsy_run] {
            let run = RunFolder::create(folder, &now, None).unwrap();
            let link = nameable(&library, Some(&run)).unwrap();
            assert!(is_nameable(&link));
            assert_eq!(fs::read_to_string(&link).unwrap(), "elf");
            assert_eq!(link.starts_with(&run.path), is_nameable(folder));
            assert_eq!(nameable(&link, Some(&run)).unwrap(), link);
        }
        fs::remove_file(nameable(&library, None).unwrap()).unwrap();
    }

    #[test]
    fn no_library_is_loaded_from_where_somebody_else_could_put_another() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let run = RunFolder::create(place.path(), &crate::terminal::local_time::now(), None).unwrap();
        let library = place.path().join("a library.so");
        let link = nameable(&library, Some(&run)).unwrap();
        assert!(!link.starts_with(place.path()), "{}", link.display());
        fs::remove_file(link).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let link = nameable(&library, Some(&run)).unwrap();
        assert!(link.starts_with(&run.path), "{}", link.display());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(link_in(place.path(), Path::new("/l/our.so")).is_err());
        let planted = place.path().join("planted");
        symlink("/tmp", &planted).unwrap();
        assert!(link_in(&planted, Path::new("/l/our.so")).is_err());
    }
}
