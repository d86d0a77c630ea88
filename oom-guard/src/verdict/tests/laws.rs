//! What holds whatever was observed.

use proptest::prelude::*;

use super::*;
use recording::protocol::OnOom;

fn any_observed() -> impl Strategy<Value = Observed> {
    let number = || proptest::option::of(0..3u64);
    let counters = (number(), number(), number(), number(), number(), number()).prop_map(
        |(kills, kills_below, ooms, met, swap_met, peak)| Counters {
            kills,
            kills_below,
            ooms,
            met,
            swap_met,
            peak: peak.map(|peak| peak * 150 * MIB),
            ..Counters::default()
        },
    );
    let states = prop_oneof![
        Just(ProcessState::Alive),
        Just(ProcessState::Cut),
        Just(ProcessState::Ended),
        Just(ProcessState::Left)
    ];
    let processes = (10..14u32, states, proptest::option::of(0..9u64)).prop_map(|(pid, state, failed)| match failed {
        Some(seconds) => refused(pid, state, seconds),
        None => facts(pid, state),
    });
    let ending = prop_oneof![
        Just(Ending::Running),
        Just(Ending::Unseen),
        prop_oneof![0..2, 53..54, 120..160, any::<i32>()].prop_map(Ending::Status),
        any::<u8>().prop_map(|signal| Ending::Signal(i32::from(signal))),
        prop_oneof![Just(SIGKILL), Just(SIGTERM), Just(SIGSEGV)].prop_map(Ending::Signal),
    ];
    let near = prop_oneof![
        Just(None),
        Just(Some(machine(23_990 * MIB))),
        Just(Some(bound(LimitKind::CgroupV2, "/batch", 199 * MIB))),
        Just(Some(bound(LimitKind::CgroupV1, "/..", 199 * MIB))),
    ];
    let levels = proptest::collection::vec((counters.clone(), proptest::option::of(counters), any::<bool>()), 0..3);
    let switches = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0..2u64,
    );
    let signals = proptest::collection::vec((0..20i32, 0..3u32), 0..3);
    let processes = proptest::collection::vec(processes, 0..4);
    (ending, processes, levels, number(), near, switches, signals).prop_map(
        |(ending, processes, levels, machine_kills, near, switches, signals)| {
            let (is_v2, is_whole, is_shared, is_limit_reported, exits_on_oom, own_kills) = switches;
            let version = if is_v2 { Version::V2 } else { Version::V1 };
            let names = counted(version).levels;
            let levels = levels
                .into_iter()
                .zip(names)
                .map(|((before, after, is_limited), level)| Moved {
                    before,
                    after,
                    limit: is_limited.then_some(200 * MIB),
                    ..level
                });
            let sent = |(signal, pid)| Sent {
                signal,
                sender: process(pid, "sender"),
            };
            Observed {
                processes,
                counted: Counted {
                    levels: levels.collect(),
                    is_whole,
                    machine_kills: Change {
                        before: Some(0),
                        after: machine_kills,
                    },
                },
                near,
                is_shared,
                is_limit_reported,
                on_oom: if exits_on_oom { OnOom::Exit } else { OnOom::Report },
                own_kills,
                signals: signals.into_iter().map(sent).collect(),
                ..job(ending)
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_verdict_never_claims_more_than_is_known(observed in any_observed()) {
        let outcome = judge(&observed);
        let is_oom = matches!(outcome.kind, Kind::OomKilledByCgroup | Kind::OomKilledByMachine);
        let kills = observed.counted.levels.first().and_then(|leaf| leaf.change(|of| of.kills).grown()).unwrap_or(0);
        if is_oom && outcome.certainty == Certainty::Certain {
            prop_assert!(kills > observed.own_kills, "{outcome:#?}");
        }
        if is_oom {
            let machine_kills = observed.counted.machine_kills.grown();
            let below = observed.counted.levels.first().and_then(|leaf| leaf.change(|of| of.kills_below).grown());
            let is_counted = kills > 0 || below > Some(0) || machine_kills > Some(0);
            prop_assert!(is_counted || observed.near.is_some() && machine_kills.is_none(), "{outcome:#?}");
        }
        prop_assert!(outcome.sentence.ends_with('.') && outcome.sentence.len() > 10);
        if observed.ending == Ending::Signal(SIGKILL) && outcome.kind == Kind::Terminated {
            prop_assert!(kills <= observed.own_kills, "{outcome:#?}");
        }
    }

    #[test]
    fn status_0_without_refusals_is_finished_unless_a_child_was_killed(observed in any_observed()) {
        let mut observed = Observed { ending: Ending::Status(0), ..observed };
        observed.processes.retain(|facts| facts.last_failure.is_none() && facts.state != ProcessState::Left);
        let kills = observed.counted.levels.first().and_then(|leaf| leaf.change(|of| of.kills).grown()).unwrap_or(0);
        let outcome = judge(&observed);
        if kills <= observed.own_kills {
            prop_assert_eq!(outcome.kind, Kind::Finished, "{}", outcome.sentence);
        }
        prop_assert!(outcome.kind == Kind::Finished || outcome.process.is_none_or(|process| process.is_child));
    }
}
