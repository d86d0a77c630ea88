//! Which limits have been reported as near.

use crate::kernel::headroom::Bound;

/// What has been reported of each limit, so that it is reported again only when memory has grown by another margin.
#[derive(Debug, Default)]
pub struct Reported(Vec<(Bound, u64)>);

impl Reported {
    /// A limit that was near before the job began is not reported until the job has come closer.
    pub fn at_the_start(bounds: &[Bound]) -> Self {
        let near = bounds.iter().filter(|bound| bound.is_near(0));
        Self(near.map(|bound| (bound.clone(), 0)).collect())
    }

    /// Whether a limit has come nearer by a margin since it was reported, or a request is the largest that does not fit; it is reported then.
    pub fn is_news(&mut self, bound: &Bound, request: u64) -> bool {
        let is_same = |known: &Bound| (known.kind, &known.path, known.bytes) == (bound.kind, &bound.path, bound.bytes);
        let request = if bound.is_near(0) { 0 } else { request };
        let Some((last, largest)) = self.0.iter_mut().find(|(known, _)| is_same(known)) else {
            self.0.push((bound.clone(), request));
            return true;
        };
        let step = bound.margin().max(1);
        let was_near = last.is_near(0);
        let is_news = match request {
            0 => !was_near || bound.used >= last.used.saturating_add(step),
            _ => request >= largest.saturating_add(step),
        };
        if is_news {
            *last = bound.clone();
            *largest = request.max(*largest);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dumper::outcome::LimitKind;

    const MIB: u64 = 1 << 20;

    fn bound(used: u64) -> Bound {
        Bound {
            kind: LimitKind::CgroupV1,
            path: "/job".to_owned(),
            bytes: 1000 * MIB,
            used: used * MIB,
            swappable: 0,
        }
    }

    #[test]
    fn a_near_limit_is_told_again_only_after_another_step() {
        let mut reported = Reported::default();
        let reported: Vec<_> = [960, 961, 940, 970, 1009, 1010, 1011, 1060]
            .map(|used| reported.is_news(&bound(used), 0))
            .into();
        assert_eq!(reported, [true, false, false, false, false, true, false, true]);
    }

    #[test]
    fn a_limit_that_was_near_before_the_job_began_is_no_news_until_the_job_has_come_nearer() {
        let mut reported = Reported::at_the_start(&[bound(960)]);
        assert!(!reported.is_news(&bound(970), 0));
        assert!(reported.is_news(&bound(1010), 0));
    }

    #[test]
    fn a_large_request_is_told_once_and_the_margin_still_after_it() {
        let mut reported = Reported::at_the_start(&[bound(500)]);
        assert!(reported.is_news(&bound(500), 600 * MIB));
        assert!(!reported.is_news(&bound(500), 600 * MIB));
        assert!(reported.is_news(&bound(500), 700 * MIB));
        assert!(reported.is_news(&bound(960), 0));
        assert!(!reported.is_news(&bound(960), 600 * MIB));
    }
}
