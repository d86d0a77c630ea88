//! The kinds of the layout, as a bundle keeps them: by their codes, so that one of a later version is no error.

macro_rules! coded {
    ($name:ident, $kind:ty, $from:expr) => {
        pub(crate) mod $name {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            pub(crate) fn serialize<S: Serializer>(kind: &Option<$kind>, out: S) -> Result<S::Ok, S::Error> {
                kind.map(|kind| kind as u32).serialize(out)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<$kind>, D::Error> {
                let code = Option::<u32>::deserialize(from)?;
                Ok(code.and_then($from))
            }
        }
    };
}

coded!(event_kind, recording::EventKind, recording::EventKind::from_code);
coded!(
    alloc_function,
    recording::AllocFunction,
    recording::AllocFunction::from_code
);

pub(crate) mod table {
    use recording::Table;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    pub(crate) fn serialize<S: Serializer>(table: &Table, out: S) -> Result<S::Ok, S::Error> {
        (*table as u32).serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Table, D::Error> {
        let code = u32::deserialize(from)?;
        let known = Table::ALL.into_iter().find(|table| *table as u32 == code);
        known.ok_or_else(|| D::Error::custom("no such table"))
    }
}
