//! A call tree as an interactive flame graph.
//!
//! The canvas, zoom and search are inferno's. It is asked for a picture of one callstack, as deep as the drawing is; what it
//! draws for that is replaced by our own frames of two rows, the label and the line of code: a name can then hold
//! anything, colours can follow size, and a frame costs no more than its text.

mod fit;
mod labels;
mod layout;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use askama::Template;
use askama::filters::HtmlSafe;
use inferno::flamegraph::color::{BackgroundColor, parse_hex_color};
use inferno::flamegraph::{Direction, Options, from_lines};

use super::drawing::{Drawing, Frame, What};
use super::words;
use crate::label::printable;
use crate::units::Share;
use layout::{Percent, Span};

pub(super) use labels::{Label, Labels};

/// Height of a frame with its two rows, in pixels.
const FRAME_HEIGHT: usize = 33;
/// Width for programs that show the picture without running its script, in pixels.
const WIDTH: f64 = 1200.0;
const FONT_SIZE: usize = 12;
const FONT_WIDTH: f64 = 0.59;
/// Columns of a title that fit between "Reset Zoom" and "Reset Search"; the script makes it shorter where the picture is narrower.
const TITLE_ROOM: usize = 98;

/// The words around the picture.
pub(super) struct Caption {
    pub(super) title: String,
    pub(super) subtitle: String,
}

/// What a frame looks like beside its name.
pub(super) struct Look {
    /// What it says on hovering.
    pub(super) held: String,
    pub(super) fill: Colour,
}

/// Writes the picture: the more a frame holds, the redder.
pub(super) fn write(out: &mut dyn Write, drawing: &Drawing, labels: &mut Labels, caption: Caption) -> io::Result<()> {
    let all = drawing.frames[0].total.bytes;
    let look = |frame: usize| {
        let frame = &drawing.frames[frame];
        let share = Share::of(frame.total.bytes, all);
        Look {
            held: format!("{}, {share}", words::with_error(frame.total)),
            fill: match frame.what {
                What::Call { .. } => heat(share),
                What::All | What::Small | What::Deeper => Colour(228, 228, 228),
            },
        }
    };
    paint(out, drawing, labels, caption, &look)
}

/// Writes a picture of which each frame looks as `look` says of its index.
pub(super) fn paint(
    out: &mut dyn Write,
    drawing: &Drawing,
    labels: &mut Labels,
    caption: Caption,
    look: &dyn Fn(usize) -> Look,
) -> io::Result<()> {
    if drawing.frames[0].total.bytes == 0 {
        let Caption { title, subtitle } = caption;
        return write!(out, "{}", Nothing { title, subtitle });
    }
    let mut options = Options::default();
    // These two do not go through a template.
    options.title = fit::start(&printable(&caption.title), TITLE_ROOM).into_owned();
    options.subtitle = (!caption.subtitle.is_empty()).then(|| printable(&caption.subtitle).into_owned());
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
    let places = layout::places(&drawing.frames);
    let deepest = places
        .iter()
        .map(|place| drawing.frames[place.frame].depth)
        .max()
        .unwrap_or(0);
    let mut one = vec!["0"; deepest.max(1) as usize].join(";");
    one.push_str(&format!(" {}", layout::total(&places)));
    let mut picture = Vec::new();
    from_lines(&mut options, [one.as_str()], &mut picture)?;
    let picture = String::from_utf8(picture).map_err(io::Error::other)?;
    let canvas = Canvas::of(&picture).ok_or_else(|| io::Error::other("unexpected flame graph"))?;

    out.write_all(canvas.before.as_bytes())?;
    write!(
        out,
        "{STYLE}<script type=\"text/ecmascript\"><![CDATA[{SCRIPT}]]></script>{}",
        canvas.container
    )?;
    let mut text = String::new();
    for place in &places {
        let frame = &drawing.frames[place.frame];
        let name = labels.label(frame.what);
        let look = look(place.frame);
        let group = group(place, frame, &look, &name, canvas.top);
        text.clear();
        group.render_into(&mut text).map_err(io::Error::other)?;
        out.write_all(text.as_bytes())?;
    }
    out.write_all(canvas.after.as_bytes())
}

/// What inferno draws around the frames.
struct Canvas<'a> {
    before: &'a str,
    /// The beginning of what the frames are in.
    container: &'a str,
    /// Where the frame of everything is, in pixels.
    top: usize,
    after: &'a str,
}

impl<'a> Canvas<'a> {
    /// `None` if the picture is not as expected.
    fn of(picture: &'a str) -> Option<Canvas<'a>> {
        let (before, rest) = picture.split_at(picture.find("<svg id=\"frames\"")?);
        let (container, frames) = rest.split_at(rest.find("<g>")?);
        let (_, top) = frames.split_once(" y=\"")?;
        let (_, after) = frames.rsplit_once("</g>")?;
        Some(Canvas {
            before,
            container,
            top: top.split_once('"')?.0.parse().ok()?,
            after,
        })
    }
}

fn group<'a>(place: &Span, frame: &Frame, look: &'a Look, name: &'a Label, top: usize) -> FrameGroup<'a> {
    let width = place.width.percent() / 100.0 * (WIDTH - 20.0);
    let room = ((width - 6.0) / (FONT_SIZE as f64 * FONT_WIDTH)).max(0.0) as usize;
    let y = top + frame.depth as usize * FRAME_HEIGHT;
    FrameGroup {
        label: &name.label,
        held: &look.held,
        code: &name.code,
        x: place.x,
        y,
        width: place.width,
        height: FRAME_HEIGHT - 1,
        fill: look.fill,
        first: place.first,
        count: place.count,
        text_x: place.x.and_a_quarter(),
        label_y: y + if name.code.is_empty() { 20 } else { 13 },
        code_y: y + 27,
        label_shown: fit::end(&name.label, room),
        code_shown: fit::start(&name.code, room),
    }
}

/// Red, green and blue.
#[derive(Clone, Copy)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

// Digits and a few signs, which mean nothing in XML.
impl HtmlSafe for Colour {}
impl HtmlSafe for Percent {}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rgb({},{},{})", self.0, self.1, self.2)
    }
}

/// The more, the redder; by the square root, so that what is worth looking at is told apart from what is not.
fn heat(share: Share) -> Colour {
    let heat = share.fraction().clamp(0.0, 1.0).sqrt();
    let channel = |cold: f64, hot: f64| (cold + (hot - cold) * heat).round() as u8;
    Colour(channel(255.0, 238.0), channel(246.0, 88.0), channel(214.0, 60.0))
}

#[derive(Template)]
#[template(path = "frame.svg")]
struct FrameGroup<'a> {
    label: &'a str,
    held: &'a str,
    code: &'a str,
    x: Percent,
    y: usize,
    width: Percent,
    height: usize,
    fill: Colour,
    first: u64,
    count: u64,
    text_x: Percent,
    label_y: usize,
    code_y: usize,
    label_shown: Cow<'a, str>,
    code_shown: Cow<'a, str>,
}

#[derive(Template)]
#[template(path = "nothing.svg")]
struct Nothing {
    title: String,
    subtitle: String,
}

const SCRIPT: &str = include_str!("../../templates/frames.js");
const STYLE: &str = "<style type=\"text/css\">.code { fill:#4a1d0a; } #search { opacity:0.6; }</style>";
