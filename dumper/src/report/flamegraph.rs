//! A call tree as an interactive flame graph.
//!
//! The layout, zoom and search are inferno's. It is given numbers for names, and what it draws for a number is replaced
//! by a frame of two rows, the label and the line of code: a name can then hold anything, and colours can follow size.

mod fit;

use std::io::{self, Write};

use askama::Template;
use inferno::flamegraph::color::{BackgroundColor, parse_hex_color};
use inferno::flamegraph::{Direction, Options, from_lines};

use super::drawing::{Drawing, Frame, What};
use crate::call_tree::CallTree;
use crate::source::Sources;
use crate::units::{Bytes, Share};

/// Height of a frame with its two rows, in pixels.
const FRAME_HEIGHT: usize = 33;
/// Width for programs that show the picture without running its script, in pixels.
const WIDTH: f64 = 1200.0;
const FONT_SIZE: usize = 12;
const FONT_WIDTH: f64 = 0.59;
/// Above this, the numbers of the picture would no longer be exact in JavaScript.
const LARGEST_TOTAL: u64 = 1 << 53;

/// The words around the picture.
pub(super) struct Caption {
    pub(super) title: String,
    pub(super) subtitle: String,
}

/// What a flame graph needs to name its frames.
pub(super) struct Naming<'a> {
    pub(super) tree: &'a CallTree<'a>,
    pub(super) sources: &'a mut Sources,
    /// Paths are shown relative to it.
    pub(super) directory: &'a str,
}

/// Writes the picture.
pub(super) fn write(out: &mut dyn Write, drawing: &Drawing, naming: Naming, caption: Caption) -> io::Result<()> {
    if drawing.frames[0].total.bytes == 0 {
        let Caption { title, subtitle } = caption;
        return write!(out, "{}", Nothing { title, subtitle });
    }
    let mut options = Options::default();
    options.title = caption.title;
    options.subtitle = (!caption.subtitle.is_empty()).then_some(caption.subtitle);
    options.direction = Direction::Inverted;
    options.frame_height = FRAME_HEIGHT;
    options.font_size = FONT_SIZE;
    options.font_width = FONT_WIDTH;
    options.count_name = "bytes".to_owned();
    options.name_type = String::new();
    options.bgcolors = parse_hex_color("#ffffff").map(BackgroundColor::Flat);
    if let Ok(colour) = "#b49cf5".parse() {
        options.search_color = colour;
    }
    options.no_sort = true;
    let lines = numbered_lines(&drawing.frames);
    let mut picture = Vec::new();
    from_lines(&mut options, lines.iter().map(String::as_str), &mut picture)?;
    let picture = String::from_utf8(picture).map_err(io::Error::other)?;
    replace_frames(out, &picture, &drawing.frames, naming).ok_or_else(|| io::Error::other("unexpected flame graph"))?
}

/// Folded stacks with the frames' numbers for names, which are in sorted order since the frames are.
fn numbered_lines(frames: &[Frame]) -> Vec<String> {
    let total = frames[0].total.bytes;
    let scaled = |bytes: u64| match total {
        0..=LARGEST_TOTAL => bytes,
        _ => (u128::from(bytes) * u128::from(LARGEST_TOTAL) / u128::from(total)) as u64,
    };
    let mut lines = Vec::new();
    let mut stack = String::new();
    for (number, frame) in frames.iter().enumerate().skip(1) {
        stack.truncate((frame.depth as usize - 1) * (NUMBER_WIDTH + 1));
        stack.push_str(&format!("{number:0NUMBER_WIDTH$x}"));
        if frame.own > 0 {
            lines.push(format!("{stack} {}", scaled(frame.own)));
        }
        stack.push(';');
    }
    lines
}

/// Enough digits for every number of a frame.
const NUMBER_WIDTH: usize = 6;

/// Copies the picture with our own frames in place of the numbered ones; `None` if it is not as expected.
fn replace_frames(out: &mut dyn Write, picture: &str, frames: &[Frame], mut naming: Naming) -> Option<io::Result<()>> {
    let mut pieces = picture.split("<g><title>");
    let (before, container) = pieces.next()?.split_once("<svg id=\"frames\"")?;
    let mut result = write!(
        out,
        "{before}{STYLE}<script type=\"text/ecmascript\"><![CDATA[{SCRIPT}]]></script>"
    )
    .and_then(|()| write!(out, "<svg id=\"frames\"{container}"));
    for piece in pieces {
        let (group, after) = piece.split_once("</g>")?;
        let number = match group.split_once(" (")?.0 {
            "all" => 0,
            number => usize::from_str_radix(number, 16).ok()?,
        };
        let frame = replacement(group, frames.get(number)?, &frames[0], &mut naming)?;
        result = result.and_then(|()| write!(out, "{frame}{after}"));
    }
    Some(result)
}

fn replacement(group: &str, frame: &Frame, all: &Frame, naming: &mut Naming) -> Option<FrameGroup> {
    let attribute = |name: &str| {
        let (_, rest) = group.split_once(&format!(" {name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let percent = |name| attribute(name)?.trim_end_matches('%').parse::<f64>().ok();
    let (left, width) = (percent("x")?, percent("width")?);
    let top: usize = attribute("y")?.parse().ok()?;
    let room = ((width / 100.0 * (WIDTH - 20.0) - 6.0) / (FONT_SIZE as f64 * FONT_WIDTH)).max(0.0) as usize;

    let (label, code) = match frame.what {
        What::All => ("all".to_owned(), None),
        What::Small => ("(small)".to_owned(), None),
        What::Deeper => ("(deeper)".to_owned(), None),
        What::Call { function, line } => {
            let call = naming.tree.called(function, line);
            (call.short(naming.directory), naming.sources.line(call.file, line))
        }
    };
    let code = code.unwrap_or_default();
    let share = Share::of(frame.total.bytes, all.total.bytes);
    let error = match frame.total.error() {
        0 => String::new(),
        error => format!(" ± {}", Bytes(error)),
    };
    Some(FrameGroup {
        held: format!("{}{error}, {share}", Bytes(frame.total.bytes)),
        x: format!("{left:.4}%"),
        y: top,
        width: format!("{width:.4}%"),
        height: attribute("height")?,
        fill: match frame.what {
            What::Call { .. } => heat(share),
            What::All | What::Small | What::Deeper => "rgb(228,228,228)".to_owned(),
        },
        first: attribute("fg:x")?,
        count: attribute("fg:w")?,
        text_x: format!("{:.4}%", left + 300.0 / WIDTH),
        label_y: top + if code.is_empty() { 20 } else { 13 },
        code_y: top + 27,
        label_shown: fit::end(&label, room),
        code_shown: fit::start(&code, room),
        label,
        code,
    })
}

/// The more, the redder; by the square root, so that what is worth looking at is told apart from what is not.
fn heat(share: Share) -> String {
    let heat = share.fraction().clamp(0.0, 1.0).sqrt();
    let channel = |cold: f64, hot: f64| (cold + (hot - cold) * heat).round() as u8;
    format!(
        "rgb({},{},{})",
        channel(255.0, 238.0),
        channel(246.0, 88.0),
        channel(214.0, 60.0)
    )
}

#[derive(Template)]
#[template(path = "frame.svg", escape = "html")]
struct FrameGroup {
    label: String,
    held: String,
    code: String,
    x: String,
    y: usize,
    width: String,
    height: String,
    fill: String,
    first: String,
    count: String,
    text_x: String,
    label_y: usize,
    code_y: usize,
    label_shown: String,
    code_shown: String,
}

#[derive(Template)]
#[template(path = "nothing.svg", escape = "html")]
struct Nothing {
    title: String,
    subtitle: String,
}

const SCRIPT: &str = include_str!("../../templates/frames.js");
const STYLE: &str = "<style type=\"text/css\">.code { fill:#4a1d0a; } #search { opacity:0.6; }</style>";
