//! "Who holds it": an icicle of the variables with their parts, and tables.

use crate::holders::Variable;
use crate::report::account::Account;
use crate::report::holders::picture::{part, rest};
use crate::report::holders::{HeldBy, grouped, kind, path, shown};
use crate::units::{Bytes, Share};

/// Variables of the table, and types.
const VARIABLES: usize = 20;
const TYPES: usize = 15;
/// Less than one part in this many of all is no row of theirs.
const WORTH: u64 = 1000;
/// Rows of the icicle, and the part of all below which nothing is drawn.
const ROWS: usize = 6;
const NARROWEST: u64 = 250;
/// Height of a row, in pixels.
const ROW: usize = 24;
/// Other processes that are told.
const OTHERS: usize = 4;

/// What the section shows.
pub(super) struct HoldersPart {
    pub(super) whole: String,
    pub(super) icicle: Vec<Cell>,
    pub(super) height: usize,
    pub(super) variables: Vec<VariableRow>,
    pub(super) types: Vec<TypeRow>,
    pub(super) notes: Vec<String>,
    pub(super) others: Vec<OtherPart>,
}

/// A rectangle of the icicle.
pub(super) struct Cell {
    /// Where it begins and how wide it is, in percent.
    pub(super) x: String,
    pub(super) width: String,
    pub(super) y: usize,
    pub(super) class: &'static str,
    pub(super) label: String,
    pub(super) held: String,
}

/// A variable.
pub(super) struct VariableRow {
    pub(super) held: String,
    pub(super) error: String,
    pub(super) share: String,
    pub(super) percent: u64,
    /// What it holds alone, where that is less.
    pub(super) alone: String,
    pub(super) place: String,
    pub(super) kind: String,
    pub(super) path: String,
    pub(super) allocated: String,
}

/// A type.
pub(super) struct TypeRow {
    pub(super) held: String,
    pub(super) share: String,
    pub(super) objects: String,
    pub(super) name: String,
}

/// Another process.
pub(super) struct OtherPart {
    pub(super) name: String,
    pub(super) sentences: Vec<String>,
}

pub(super) fn part_of(account: &Account) -> Option<HoldersPart> {
    let held = account.foremost()?.held_by.as_ref()?;
    let look = &held.look;
    if look.variables.is_empty() {
        return None;
    }
    let icicle = icicle(held);
    let least = look.whole() / WORTH;
    let types = look.types.iter().filter(|row| row.bytes > least).take(TYPES);
    Some(HoldersPart {
        whole: format!(
            "Variables hold {} of {}.",
            Bytes(look.covered_bytes),
            Bytes(look.whole())
        ),
        height: icicle.iter().map(|cell| cell.y + ROW).max().unwrap_or(0),
        icicle,
        variables: look
            .variables
            .iter()
            .take(VARIABLES)
            .map(|variable| row(held, variable))
            .collect(),
        types: types
            .map(|row| TypeRow {
                held: Bytes(row.bytes).to_string(),
                share: held.share(row.bytes).to_string(),
                objects: grouped(row.objects),
                name: shown(&row.name),
            })
            .collect(),
        notes: held.notes(),
        others: others(account),
    })
}

fn others(account: &Account) -> Vec<OtherPart> {
    let others = account
        .held_by_others
        .iter()
        .take(OTHERS)
        .map(|(name, held)| OtherPart {
            name: name.clone(),
            sentences: held.lines(),
        });
    others.filter(|other| !other.sentences.is_empty()).collect()
}

fn row(held: &HeldBy, variable: &Variable) -> VariableRow {
    let share = held.share(variable.bytes);
    VariableRow {
        held: Bytes(variable.bytes).to_string(),
        error: match variable.error_bytes > variable.bytes / 100 {
            true => format!("± {}", Bytes(variable.error_bytes)),
            false => String::new(),
        },
        share: share.to_string(),
        percent: (share.fraction() * 100.0).round() as u64,
        alone: match variable.exclusive_bytes < variable.bytes / 100 * 95 {
            true => format!("{} by it alone", Bytes(variable.exclusive_bytes)),
            false => String::new(),
        },
        place: held.place(variable),
        kind: kind(variable),
        path: path(variable),
        allocated: held.allocated_at(variable).join(", "),
    }
}

fn icicle(held: &HeldBy) -> Vec<Cell> {
    let whole = held.look.whole().max(1);
    let is_wide = |bytes: u64| bytes.saturating_mul(NARROWEST) >= whole;
    let mut cells = Vec::new();
    let mut cell = |first: u64, bytes: u64, row: usize, class, label: String| {
        cells.push(Cell {
            x: percent(first, whole),
            width: percent(bytes, whole),
            y: row * ROW,
            class,
            held: format!("{}, {}", Bytes(bytes), Share::of(bytes, whole)),
            label,
        });
    };
    let mut first = 0;
    for variable in held.look.variables.iter().filter(|variable| is_wide(variable.bytes)) {
        cell(
            first,
            variable.bytes,
            0,
            "variable",
            format!("{}, {}", held.place(variable), kind(variable)),
        );
        // Where the next part below each begins, and in which row that is.
        let mut begun = vec![(first, 0)];
        for (index, one) in variable.tree.iter().enumerate().skip(1) {
            let above = if one.parent < index { one.parent } else { 0 };
            let (begin, row) = begun[above];
            begun.push((begin, row + 1));
            if row + 1 < ROWS && is_wide(one.bytes) {
                cell(begin, one.bytes, row + 1, "below", part(one));
            }
            begun[above].0 = begin.saturating_add(one.bytes);
        }
        first = first.saturating_add(variable.bytes);
    }
    let told: u64 = held.look.covered_bytes.max(first) - first;
    let [(smaller, _), (nobody, left)] = rest(held);
    for (label, bytes) in [(smaller, told), (nobody, left)] {
        if is_wide(bytes) {
            cell(first, bytes, 0, "nobody", label.to_owned());
            first = first.saturating_add(bytes);
        }
    }
    cells
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.3}%", part as f64 / whole as f64 * 100.0)
}
