//! Lists and maps of files that are read, none longer than what this program itself writes: a few bytes can claim millions of entries,
//! each of which takes a hundred times as much memory as it takes of the file.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How many entries anything may have that a person would read.
pub(crate) const LISTED: usize = 4096;
/// How many sites a recording can have, and more.
pub(crate) const SITES: usize = recording::MAX_FILE_BYTES / recording::SITE_BYTES_1;
/// How many nodes a recording can have.
pub(crate) const NODES: usize = recording::MAX_FILE_BYTES / size_of::<recording::Node>();
/// How many functions or names a recording can have.
pub(crate) const NAMES: usize = recording::MAX_FILE_BYTES / size_of::<recording::Function>();

/// A list of at most `MOST` entries; a longer one is an error.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    struct List<T, const MOST: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MOST} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = entries.next_element()? {
                if list.len() == MOST {
                    return Err(too_long(MOST));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }

    from.deserialize_seq(List::<T, MOST>(PhantomData))
}

/// A map of at most `MOST` entries; a longer one is an error.
pub(crate) fn map<'de, D, K, T, const MOST: usize>(from: D) -> Result<BTreeMap<K, T>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    T: Deserialize<'de>,
{
    struct Map<K, T, const MOST: usize>(PhantomData<(K, T)>);

    impl<'de, K: Deserialize<'de> + Ord, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Map<K, T, MOST> {
        type Value = BTreeMap<K, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a map of at most {MOST} entries")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<BTreeMap<K, T>, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, entry)) = entries.next_entry()? {
                if map.len() == MOST {
                    return Err(too_long(MOST));
                }
                map.insert(key, entry);
            }
            Ok(map)
        }
    }

    from.deserialize_map(Map::<K, T, MOST>(PhantomData))
}

fn too_long<E: Error>(most: usize) -> E {
    E::custom(format_args!("{TOO_LONG} {most} entries"))
}

/// What an error about a list that is too long begins with.
pub(crate) const TOO_LONG: &str = "a list of more than";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Three {
        #[serde(deserialize_with = "list::<_, _, 3>")]
        list: Vec<u8>,
        #[serde(deserialize_with = "map::<_, _, _, 3>")]
        map: BTreeMap<String, u8>,
    }

    #[test]
    fn what_is_longer_than_it_may_be_is_an_error_that_says_so() {
        let read = |text: &str| serde_json::from_str::<Three>(text);
        let three = read(r#"{"list": [1, 2, 3], "map": {"a": 1, "b": 2, "c": 3}}"#).unwrap();
        assert_eq!((three.list.len(), three.map.len()), (3, 3));
        assert!(read("{}").unwrap().list.is_empty());
        for long in [
            r#"{"list": [1, 2, 3, 4]}"#,
            r#"{"map": {"a": 1, "b": 2, "c": 3, "d": 4}}"#,
        ] {
            let error = read(long).err().unwrap().to_string();
            assert!(error.starts_with("a list of more than 3 entries"), "{error}");
        }
    }
}
