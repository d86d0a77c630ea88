//! Hints from what variables hold: only where the evidence is clear.

use super::{HeldBy, grouped, shown};
use crate::holders::{Variable, VariableKind};
use crate::report::hints::Hint;
use crate::units::{Bytes, Share};

/// The part of all from which on a variable is worth a hint.
const WORTH: u64 = 10;
/// What native code alone holds is worth one from this part on, and from so many bytes.
const NATIVE_WORTH: u64 = 2;
const NATIVE_BYTES: u64 = 64 << 20;
/// Of what two variables hold, so many percent at most are each one's own if they hold the same.
const OWN_PERCENT: u64 = 5;

/// All that can be said.
pub(in crate::report) fn hints(held: &HeldBy) -> Vec<Hint> {
    [
        is_held_twice(held),
        is_a_cache(held),
        is_kept_by_a_frame(held),
        is_native(held),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn large(held: &HeldBy) -> impl Iterator<Item = &Variable> {
    let least = held.look.whole() / WORTH;
    held.look
        .variables
        .iter()
        .filter(move |variable| variable.bytes > least)
}

/// Two variables that refer to the same object.
fn is_held_twice(held: &HeldBy) -> Option<Hint> {
    let is_shared = |variable: &&Variable| variable.exclusive_bytes <= variable.bytes / 100 * OWN_PERCENT;
    let shared: Vec<&Variable> = large(held).filter(is_shared).collect();
    let pair = shared.iter().enumerate().find_map(|(index, one)| {
        let is_same = |other: &&&Variable| {
            (&one.type_name, one.length, one.bytes, &one.tree)
                == (&other.type_name, other.length, other.bytes, &other.tree)
        };
        Some((*one, *shared[index + 1..].iter().find(is_same)?))
    });
    let (one, other) = pair?;
    Some(Hint {
        seen: format!(
            "{} and {} hold the same {}.",
            held.place(one),
            held.place(other),
            Bytes(one.bytes.saturating_add(other.bytes))
        ),
        advice: "It is freed only when both are gone.".into(),
    })
}

/// A global container, or the results that functools.lru_cache keeps.
fn is_a_cache(held: &HeldBy) -> Option<Hint> {
    let is_cache = |variable: &&Variable| {
        let is_dict = variable.type_name.ends_with("dict") && variable.kind == VariableKind::Global;
        is_dict || variable.type_name.ends_with("_lru_cache_wrapper")
    };
    let cache = large(held).find(is_cache)?;
    let entries = cache
        .length
        .map_or(String::new(), |length| format!(" with {} entries", grouped(length)));
    Some(Hint {
        seen: format!(
            "{} ({}{entries}) holds {}, {} of all.",
            held.place(cache),
            shown(&cache.type_name),
            Bytes(cache.bytes),
            held.share(cache.bytes)
        ),
        advice: "What a cache holds stays as long as the program runs. Give it a bound, such as functools.lru_cache(maxsize=…), or clear \
                 it between batches."
            .into(),
    })
}

/// A traceback, a generator or a function's closure, which keep the variables of a function.
fn is_kept_by_a_frame(held: &HeldBy) -> Option<Hint> {
    let kept = large(held).find_map(|variable| {
        let part = variable.tree.iter().find(|part| {
            let is_most = part.bytes > variable.bytes / 2;
            is_most
                && [
                    "traceback",
                    "frame",
                    "generator",
                    "coroutine",
                    "async_generator",
                    "cell",
                ]
                .contains(&part.type_name.as_str())
        });
        Some((variable, part?))
    });
    let (variable, part) = kept?;
    let (what, advice) = match part.type_name.as_str() {
        "traceback" | "frame" => (
            "an exception's traceback",
            "A traceback keeps all variables of the functions that it leads through. Keep the exception's text instead, or end with \
             exception.with_traceback(None).",
        ),
        "cell" => (
            "a function's closure",
            "A function keeps the variables of the functions around it that it uses.",
        ),
        _ => (
            "a generator or coroutine that has not ended",
            "It keeps its variables until it has ended or is gone: close() ends it.",
        ),
    };
    Some(Hint {
        seen: format!(
            "{} holds {}, {} of all, through {what}.",
            held.place(variable),
            Bytes(part.bytes),
            held.share(part.bytes)
        ),
        advice: advice.into(),
    })
}

/// Most of it has no variable.
fn is_native(held: &HeldBy) -> Option<Hint> {
    let look = &held.look;
    let rest = look.whole().saturating_sub(look.covered_bytes);
    (rest >= NATIVE_BYTES && rest > look.whole() / NATIVE_WORTH && !look.is_cut).then(|| Hint {
        seen: format!(
            "No variable was found for {}, {} of all.",
            Bytes(rest),
            Share::of(rest, look.whole())
        ),
        advice: "It is memory of native libraries, or of objects that only native code refers to. The call sites say who asked for it.".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::held;
    use super::*;

    fn seen(held: &HeldBy) -> Vec<String> {
        hints(held).into_iter().map(|hint| hint.seen).collect()
    }

    #[test]
    fn a_list_that_a_function_holds_alone_is_nothing_to_be_said() {
        let mut held = held(800 << 20, 1000 << 20);
        held.look.variables[0].exclusive_bytes = 800 << 20;
        assert_eq!(seen(&held), [""; 0]);
    }

    #[test]
    fn what_two_variables_share_is_held_twice() {
        let mut held = held(400 << 20, 1000 << 20);
        held.look.covered_bytes = 800 << 20;
        let mut other = held.look.variables[0].clone();
        other.name = "copy".to_owned();
        held.look.variables.push(other);
        let both = "fleet in main() at sensors.py:74 and copy in main() at sensors.py:74 hold the same 800.0 MiB.";
        assert_eq!(seen(&held), [both]);
        held.look.variables[1].length = Some(299);
        assert_eq!(seen(&held), [""; 0]);
    }

    #[test]
    fn a_global_dict_and_an_lru_cache_are_caches() {
        let mut held = held(800 << 20, 1000 << 20);
        let cache = &mut held.look.variables[0];
        cache.exclusive_bytes = cache.bytes;
        (cache.kind, cache.type_name) = (VariableKind::Global, "dict".to_owned());
        assert_eq!(
            seen(&held),
            ["fleet, global in sensors.py (dict with 300 entries) holds 800.0 MiB, 80.0 % of all."]
        );
        let cache = &mut held.look.variables[0];
        (cache.kind, cache.type_name) = (VariableKind::Local, "functools._lru_cache_wrapper".to_owned());
        assert_eq!(seen(&held).len(), 1);
    }

    #[test]
    fn a_traceback_and_a_generator_keep_frames() {
        for (type_name, what) in [
            ("traceback", "an exception's traceback"),
            ("generator", "a generator or coroutine that has not ended"),
            ("cell", "a function's closure"),
        ] {
            let mut held = held(800 << 20, 1000 << 20);
            held.look.variables[0].exclusive_bytes = 800 << 20;
            held.look.variables[0].tree[1].type_name = type_name.to_owned();
            let said = format!("fleet in main() at sensors.py:74 holds 800.0 MiB, 80.0 % of all, through {what}.");
            assert_eq!(seen(&held), [said]);
            held.look.variables[0].tree[1].bytes = 300 << 20;
            assert_eq!(seen(&held), [""; 0]);
        }
    }

    #[test]
    fn most_of_it_may_be_held_by_native_code() {
        let mut held = held(100 << 20, 1000 << 20);
        held.look.variables[0].exclusive_bytes = 100 << 20;
        assert_eq!(seen(&held), ["No variable was found for 900.0 MiB, 90.0 % of all."]);
        held.look.is_cut = true;
        assert_eq!(seen(&held), [""; 0]);
    }
}
