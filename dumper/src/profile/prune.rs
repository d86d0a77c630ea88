//! How a picture, a page or a text keeps the largest of many: the one way, with its limits.

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// As many.
    pub(crate) most: usize,
    /// And no more than have room for what each costs.
    pub(crate) room: u64,
}

impl Limits {
    /// As many, whatever they cost.
    pub(crate) fn count(most: usize) -> Limits {
        Limits { most, room: u64::MAX }
    }
}

/// The first of the items in the given order, as many as the limits allow. `cost` is asked in that order.
pub(crate) fn keep<T, K: Ord>(
    mut items: Vec<T>,
    limits: Limits,
    order: impl Fn(&T) -> K,
    mut cost: impl FnMut(&T) -> u64,
) -> Vec<T> {
    if items.len() > limits.most {
        items.select_nth_unstable_by_key(limits.most, &order);
        items.truncate(limits.most);
    }
    items.sort_unstable_by_key(&order);
    let mut room = limits.room;
    let has_no_room = items.iter().position(|item| match room.checked_sub(cost(item)) {
        Some(left) => {
            room = left;
            false
        }
        None => true,
    });
    items.truncate(has_no_room.unwrap_or(items.len()));
    items
}

/// For each of `count` ids, whether it is among these.
pub(crate) fn flags(count: usize, kept: impl IntoIterator<Item = u32>) -> Vec<bool> {
    let mut flags = vec![false; count];
    kept.into_iter().for_each(|id| flags[id as usize] = true);
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;

    proptest! {
        #[test]
        fn what_is_kept_is_the_largest_and_within_its_limits(
            sizes in prop::collection::vec(0u64..100, 0..50), most in 0usize..60, room in 0u64..2000
        ) {
            let all: Vec<usize> = (0..sizes.len()).collect();
            let kept = keep(all, Limits { most, room }, |id| (Reverse(sizes[*id]), *id), |id| sizes[*id]);
            let sum: u64 = kept.iter().map(|id| sizes[*id]).sum();
            prop_assert!(kept.len() <= most && sum <= room);
            let next = (0..sizes.len()).filter(|id| !kept.contains(id)).min_by_key(|id| (Reverse(sizes[*id]), *id));
            if let Some(next) = next {
                prop_assert!(kept.iter().all(|id| (Reverse(sizes[*id]), *id) < (Reverse(sizes[next]), next)));
                prop_assert!(kept.len() == most || sum + sizes[next] > room);
            }
        }
    }
}
