//! Charts as SVG: a row for each contestant, a dot on a logarithmic axis for each of its values.

use std::fmt::Write as _;

/// Several panels side by side, with the same rows.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) panels: Vec<Panel>,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Panel {
    pub(crate) title: String,
    /// What the numbers at its axis are.
    pub(crate) unit: String,
    /// One for each value that a row has here.
    pub(crate) marks: Vec<Mark>,
}

/// How a value is drawn, and what it is.
#[derive(Clone, Copy)]
pub(crate) enum Mark {
    Full(&'static str),
    Hollow(&'static str),
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) is_ours: bool,
    /// For each panel.
    pub(crate) values: Vec<Vec<f64>>,
}

const NAMES: f64 = 190.0;
const PANEL: f64 = 330.0;
/// Between the panels, and where the last number of a panel is written.
const GAP: f64 = 58.0;
const TOP: f64 = 84.0;
const LINE: f64 = 21.0;
const BOTTOM: f64 = 74.0;

/// Colours that are read on white and on black, and follow what the reader has chosen.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}
.head{font-weight:600}
.dim{fill:#59636e}
.back{fill:#ffffff}
.grid{stroke:#d1d9e0;stroke-width:1}
.ours{fill:#0969da;stroke:#0969da}
.peer{fill:#9a6700;stroke:#9a6700}
.line{stroke-width:1.5;stroke-opacity:.45}
.dot{stroke-width:1.5}
.hollow{fill:none}
@media(prefers-color-scheme:dark){
text{fill:#f0f6fc}
.dim{fill:#9198a1}
.back{fill:#0d1117}
.grid{stroke:#3d444d}
.ours{fill:#4493f8;stroke:#4493f8}
.peer{fill:#d29922;stroke:#d29922}
.hollow{fill:none}
}";

/// A logarithmic axis, from one power of ten to another.
struct Axis {
    from: i32,
    to: i32,
    left: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, left: f64) -> Axis {
        let (mut least, mut most) = (f64::MAX, f64::MIN_POSITIVE);
        for value in values.filter(|value| *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        let from = least.min(most).log10().floor() as i32;
        Axis { from, to: (most.log10().ceil() as i32).max(from + 1), left }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.log10() - f64::from(self.from)) / f64::from(self.to - self.from);
        self.left + part.clamp(0.0, 1.0) * PANEL
    }
}

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let width = NAMES + self.panels.len() as f64 * (PANEL + GAP);
        let height = TOP + self.rows.len() as f64 * LINE + BOTTOM;
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">"
        );
        let _ =
            writeln!(svg, "<title>{}</title>\n<style>\n{STYLE}\n</style>", escaped(&self.title));
        let _ =
            writeln!(svg, "<rect class=\"back\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>");
        text(&mut svg, 16.0, 28.0, "title", "start", &self.title);
        for (index, row) in self.rows.iter().enumerate() {
            text(&mut svg, NAMES - 14.0, middle(index) + 4.0, "", "end", &row.name);
        }
        for (index, panel) in self.panels.iter().enumerate() {
            self.panel(&mut svg, index, panel);
        }
        self.legend(&mut svg, height - 16.0);
        svg.push_str("</svg>\n");
        svg
    }

    fn panel(&self, svg: &mut String, index: usize, panel: &Panel) {
        let left = NAMES + index as f64 * (PANEL + GAP);
        let values = self.rows.iter().flat_map(|row| row.values[index].iter().copied());
        let axis = Axis::of(values, left);
        let foot = TOP + self.rows.len() as f64 * LINE;
        text(svg, left, 54.0, "head", "start", &panel.title);
        for power in axis.from..=axis.to {
            let value = 10_f64.powi(power);
            let x = axis.at(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{foot}\"/>"
            );
            text(svg, x, foot + 16.0, "dim", "middle", &number(value));
        }
        text(svg, left + PANEL / 2.0, foot + 34.0, "dim", "middle", &panel.unit);
        for (at, row) in self.rows.iter().enumerate() {
            let (y, class) = (middle(at), if row.is_ours { "ours" } else { "peer" });
            let values = &row.values[index];
            let far = values.iter().copied().fold(0.0, f64::max);
            let end = axis.at(far);
            let _ = writeln!(
                svg,
                "<line class=\"line {class}\" x1=\"{left}\" y1=\"{y}\" x2=\"{end:.1}\" y2=\"{y}\"/>"
            );
            for (value, mark) in values.iter().zip(&panel.marks) {
                let hollow = if matches!(mark, Mark::Hollow(_)) { " hollow" } else { "" };
                let x = axis.at(*value);
                let _ = writeln!(
                    svg,
                    "<circle class=\"dot {class}{hollow}\" cx=\"{x:.1}\" cy=\"{y}\" r=\"4\"/>"
                );
            }
            let numbers: Vec<String> = values.iter().map(|value| number(*value)).collect();
            text(svg, end + 9.0, y + 4.0, "", "start", &numbers.join(" · "));
        }
    }

    fn legend(&self, svg: &mut String, y: f64) {
        let mut x = 16.0;
        let mut item = |class: &str, what: &str| {
            let _ = writeln!(
                svg,
                "<circle class=\"dot {class}\" cx=\"{x}\" cy=\"{}\" r=\"4\"/>",
                y - 4.0
            );
            text(svg, x + 10.0, y, "dim", "start", what);
            x += 40.0 + 6.5 * what.chars().count() as f64;
        };
        item("ours", "a model of fourfold::server");
        item("peer", "another's server");
        // The only mark of a panel is what its title says.
        let several = self.panels.iter().filter(|panel| panel.marks.len() > 1);
        for mark in several.flat_map(|panel| &panel.marks) {
            match mark {
                Mark::Full(what) => item("ours", what),
                Mark::Hollow(what) => item("ours hollow", what),
            }
        }
    }
}

/// The height of a row's middle.
fn middle(row: usize) -> f64 {
    TOP + (row as f64 + 0.5) * LINE
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

/// Three digits.
fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}").trim_end_matches(".0").to_owned(),
        v => {
            let text = format!("{v:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
