//! Pictures of a report, as SVG.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use millstream_protocol::wire::SpanKind;

use super::facts::{MemoryPoint, Stream};
use super::words::{bytes, duration, escape};

/// Pixels of a picture without names, and of the names beside it.
const WIDTH: f64 = 1_000.0;
const NAMES: f64 = 150.0;
/// Height of a slot.
const ROW: usize = 16;
/// Slots drawn; a page with more helps nobody.
const MAX_ROWS: usize = 256;
/// Height of the picture of memory.
const HEIGHT: f64 = 160.0;
/// A limit is drawn if it is no more than so many times what was used.
const MOST_ROOM: f64 = 4.0;

/// What filled each slot when, with a name for each block.
pub(super) fn stream(stream: &Stream) -> String {
    let blocks = &stream.blocks;
    let lanes = blocks.worker.iter().copied().zip(blocks.slot.iter().copied());
    let rows: BTreeMap<(u32, u16), usize> = lanes.map(|lane| (lane, 0)).collect();
    if rows.is_empty() {
        return "<p>Nothing is known of what ran.</p>".to_owned();
    }
    let more = rows.len().saturating_sub(MAX_ROWS);
    let rows: BTreeMap<_, _> = rows.into_keys().take(MAX_ROWS).zip(0..).collect();
    let mut svg = opening((ROW * rows.len()) as f64);
    for ((worker, slot), row) in &rows {
        let name = stream.workers.get(*worker as usize).map_or("", String::as_str);
        let y = row * ROW + 12;
        // Writing to a string cannot fail.
        let _ = write!(svg, "<text x=\"0\" y=\"{y}\">{} / {slot}</text>", escape(name));
    }
    for at in 0..blocks.worker.len() {
        if let Some(row) = rows.get(&(blocks.worker[at], blocks.slot[at])) {
            block(&mut svg, stream, at, *row);
        }
    }
    svg.push_str("</svg>");
    if more > 0 {
        let _ = write!(svg, "<p>and {more} slots more</p>");
    }
    svg
}

fn opening(height: f64) -> String {
    let width = NAMES + WIDTH;
    format!("<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" font-size=\"11\">")
}

fn block(svg: &mut String, stream: &Stream, at: usize, row: usize) {
    let blocks = &stream.blocks;
    let scale = WIDTH / stream.to_us.saturating_sub(stream.from_us).max(1) as f64;
    let kind = SpanKind::from_code(blocks.kind[at]);
    let name = match kind {
        SpanKind::Fetch => "fetch",
        SpanKind::Spill => "spill",
        SpanKind::Unspill => "read back",
        SpanKind::Run | SpanKind::Failed => {
            let named = stream.ops.iter().find(|named| named.op == blocks.op[at]);
            named.map_or("", |named| &named.name)
        }
    };
    let mut title = format!("{}: {}", escape(name), duration(blocks.duration_us[at]));
    if kind == SpanKind::Failed {
        title.push_str(", failed");
    }
    if blocks.count[at] > 1 {
        let _ = write!(title, ", {} of them", blocks.count[at]);
    }
    // What runs beside a slot is drawn lower than what fills it.
    let beside = usize::from(!matches!(kind, SpanKind::Run | SpanKind::Failed));
    let _ = write!(
        svg,
        "<rect x=\"{:.2}\" y=\"{}\" width=\"{:.2}\" height=\"{}\" fill=\"{}\"><title>{title}</title></rect>",
        NAMES + blocks.start_us[at] as f64 * scale,
        row * ROW + 1 + beside * 9,
        (blocks.duration_us[at] as f64 * scale).max(0.5),
        ROW - 2 - beside * 9,
        color(kind, name)
    );
}

/// The same operation is drawn alike in every report.
fn color(kind: SpanKind, name: &str) -> String {
    match kind {
        SpanKind::Failed => "#c62828".to_owned(),
        SpanKind::Fetch => "#ef6c00".to_owned(),
        SpanKind::Spill => "#6d4c41".to_owned(),
        SpanKind::Unspill => "#a1887f".to_owned(),
        SpanKind::Run => {
            let sum: u32 = name.bytes().map(u32::from).sum();
            format!("hsl({},55%,55%)", sum * 47 % 360)
        }
    }
}

/// A line of the picture of memory.
struct Line {
    name: &'static str,
    color: &'static str,
    of: fn(&MemoryPoint) -> f64,
}

const LINES: [Line; 4] = [
    Line {
        name: "limit",
        color: "#9e9e9e",
        of: |point| point.limit,
    },
    Line {
        name: "processes",
        color: "#1565c0",
        of: |point| point.managed + point.unmanaged,
    },
    Line {
        name: "objects in memory",
        color: "#2e7d32",
        of: |point| point.managed,
    },
    Line {
        name: "objects on disk",
        color: "#6d4c41",
        of: |point| point.spilled,
    },
];

/// The memory of all workers over time.
pub(super) fn memory(points: &[MemoryPoint]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return "<p>Nothing is known of the memory.</p>".to_owned();
    };
    let peak = |line: &Line| points.iter().map(line.of).fold(0.0, f64::max);
    // A limit far above everything would press it all to the ground.
    let used = LINES[1..].iter().map(peak).fold(1.0, f64::max);
    let drawn = LINES.iter().filter(|line| peak(line) <= used * MOST_ROOM);
    let most = drawn.clone().map(peak).fold(used, f64::max);
    let span = last.at_us.saturating_sub(first.at_us).max(1) as f64;
    let mut svg = opening(HEIGHT);
    for (row, line) in LINES.iter().enumerate() {
        let Line { name, color, .. } = line;
        let (y, peak) = (12 + row * 2 * ROW, bytes(peak(line) as u64));
        let _ = write!(
            svg,
            "<text fill=\"{color}\"><tspan x=\"0\" y=\"{y}\">{name}</tspan>\
            <tspan x=\"0\" y=\"{}\">at most {peak}</tspan></text>",
            y + ROW - 2
        );
    }
    for Line { color, of, .. } in drawn {
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\" points=\""
        );
        for point in points {
            let x = NAMES + point.at_us.saturating_sub(first.at_us) as f64 / span * WIDTH;
            let y = HEIGHT - 1.0 - of(point) / most * (HEIGHT - 2.0);
            let _ = write!(svg, "{x:.1},{y:.1} ");
        }
        svg.push_str("\"/>");
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_us: u64, limit: f64) -> MemoryPoint {
        MemoryPoint {
            at_us,
            managed: 100.0,
            unmanaged: 50.0,
            spilled: 0.0,
            limit,
        }
    }

    #[test]
    fn a_limit_far_above_what_is_used_is_told_and_not_drawn() {
        let near = memory(&[point(0, 600.0), point(1, 600.0)]);
        assert_eq!(near.matches("<polyline").count(), 4);
        let far = memory(&[point(0, 601.0), point(1, 601.0)]);
        assert_eq!(far.matches("<polyline").count(), 3);
        assert!(
            far.contains("at most 601 B") && far.contains("at most 150 B"),
            "{far}"
        );
    }

    #[test]
    fn of_nothing_there_is_no_picture() {
        assert!(!memory(&[]).contains("<svg"));
        assert!(!stream(&Stream::default()).contains("<svg"));
    }
}
