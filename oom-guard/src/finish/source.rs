//! Which files of this machine a report may show lines of.

use std::path::Path;

use dumper::LocalSource;

/// What a report may read: the folder that the user has named, or what the job ran from if the run is the user's own (`is_ours`), or
/// nothing. Nobody else decides this.
pub fn readable(is_ours: bool, named: Option<&Path>) -> LocalSource {
    match named {
        Some(folder) => LocalSource::Inside(folder.to_owned()),
        None if is_ours => LocalSource::ThisMachine,
        None => LocalSource::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_folder_goes_before_where_the_job_ran_and_a_foreign_run_reads_nothing() {
        let named = Path::new("/srv/app");
        for is_ours in [true, false] {
            assert_eq!(readable(is_ours, Some(named)), LocalSource::Inside(named.to_owned()));
        }
        assert_eq!(readable(true, None), LocalSource::ThisMachine);
        assert_eq!(readable(false, None), LocalSource::Nothing);
    }
}
