//! What a process that ends another one is to it: libraries that start workers end some of them for a reason, and all at their own end.

/// See the module's page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// A nanny of dask.distributed.
    Dask,
    /// The raylet of Ray.
    Ray,
    /// The arbiter of gunicorn.
    Gunicorn,
    /// The main process of Celery.
    Celery,
    /// A pool that ends its workers when it ends itself.
    Pool,
    /// Any other code.
    #[default]
    Unknown,
}

/// Parts of the paths of their source files.
const FILES: [(&str, Role); 8] = [
    ("/distributed/", Role::Dask),
    ("/gunicorn/", Role::Gunicorn),
    ("/celery/", Role::Celery),
    ("/billiard/", Role::Celery),
    ("/multiprocessing/pool.py", Role::Pool),
    ("/multiprocessing/util.py", Role::Pool),
    ("/concurrent/futures/", Role::Pool),
    ("/torch/utils/data/", Role::Pool),
];

impl Role {
    /// By the command of the sender, and the files of the callstack from which it sends.
    pub fn of<'a>(command: &str, files: impl IntoIterator<Item = &'a str>) -> Self {
        let program = command.split(' ').next().unwrap_or_default();
        if program.rsplit('/').next() == Some("raylet") {
            return Self::Ray;
        }
        let role = |file: &str| {
            FILES
                .iter()
                .find(|(part, _)| file.contains(part))
                .map(|(_, role)| *role)
        };
        files.into_iter().find_map(role).unwrap_or(Self::Unknown)
    }

    /// Who that is, and when it ends a worker; none for code that says neither.
    pub fn who_and_when(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Dask => Some(("dask's nanny", "it ends a worker at 95 % of the worker's memory limit")),
            Self::Ray => Some((
                "Ray's raylet",
                "its memory monitor ends workers when the node's memory is nearly used up",
            )),
            Self::Gunicorn => Some((
                "gunicorn's arbiter",
                "it ends workers that do not answer within --timeout",
            )),
            Self::Celery => Some(("Celery's main process", "it ends workers at their time limit")),
            Self::Pool | Self::Unknown => None,
        }
    }

    /// Whether it ends a worker for the worker's memory.
    pub fn is_about_memory(self) -> bool {
        matches!(self, Self::Dask | Self::Ray)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_is_known_by_its_program_or_by_the_code_that_sends() {
        let lib = "/usr/lib/python3.12";
        let files = [
            format!("{lib}/multiprocessing/process.py"),
            "/venv/distributed/process.py".to_owned(),
        ];
        let of = |command: &str, files: &[String]| Role::of(command, files.iter().map(String::as_str));
        assert_eq!(of("python3 job.py", &files), Role::Dask);
        assert_eq!(of("python3 job.py", &files[..1]), Role::Unknown);
        assert_eq!(
            of("python3 job.py", &[format!("{lib}/multiprocessing/pool.py")]),
            Role::Pool
        );
        assert_eq!(of("/venv/ray/core/src/ray/raylet/raylet --store", &[]), Role::Ray);
        assert_eq!(of("grep raylet", &[]), Role::Unknown);
    }
}
