//! Draws the connections in use over time: the naive service on the left, the guarded one beside it.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::picture::{OVER, Picture};
use crate::report::Outcome;
use crate::side::{CONNECTIONS, Phase};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A ground of its own keeps it readable on light pages and on dark ones.
const GROUND: RGBColor = WHITE;
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(225, 225, 225);
const FONT: &str = "sans-serif";

/// Colours that also the colour-blind can tell apart (Okabe and Ito).
const NAIVE: RGBColor = RGBColor(213, 94, 0);
const GUARDED: RGBColor = RGBColor(0, 114, 178);

/// Writes the plot to `path`.
pub(crate) fn draw(
    naive: &Picture,
    guarded: &Picture,
    outcomes: &[Outcome],
    path: &Path,
) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (960, 260)).into_drawing_area();
    root.fill(&GROUND)?;
    let (left, right) = root.split_horizontally(300);
    draw_panel(&left, "By hand: connections in use", NAIVE, naive, outcomes)?;
    draw_panel(&right, "With a scope", GUARDED, guarded, outcomes)?;
    root.present()?;
    Ok(())
}

fn draw_panel(
    area: &Area<'_>,
    title: &str,
    colour: RGBColor,
    picture: &Picture,
    outcomes: &[Outcome],
) -> Result<(), Box<dyn Error>> {
    let text = |size: u32| (FONT, size).into_font().color(&INK);
    let each = picture.each().as_secs_f64();
    let over = each * picture.phases().len() as f64;
    let end = over + picture.afterwards().as_secs_f64();
    let top = f64::from(CONNECTIONS) + 1.2;
    let mut chart = ChartBuilder::on(area)
        .caption(title, text(17))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(36)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc("seconds")
        .x_label_formatter(&|seconds| format!("{seconds:.0}"))
        .x_labels(picture.phases().len() * 4 + 1)
        .y_labels(8)
        .y_label_formatter(&|connections| format!("{connections:.0}"))
        .label_style(text(13))
        .axis_desc_style(text(14))
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()?;
    let mut sections = Vec::new();
    for (nth, phase) in picture.phases().iter().enumerate() {
        let from = each * nth as f64;
        let half_done = outcomes.iter().find(|outcome| outcome.phase == *phase).map_or(0, |o| o.half_done);
        let label = match phase {
            Phase::Naive => String::new(),
            _ => format!("{}: {half_done} half-done", phase.name()),
        };
        sections.push((from..from + each, label));
    }
    sections.push((over..end, OVER.to_owned()));
    for (section, label) in sections {
        let (from, middle) = (section.start, (section.start + section.end) / 2.0);
        if from > 0.0 {
            chart.draw_series([PathElement::new(vec![(from, 0.0), (from, top)], INK.stroke_width(1))])?;
        }
        let style = text(13).pos(Pos::new(HPos::Center, VPos::Center));
        chart.draw_series([Text::new(label, (middle, top - 0.5), style)])?;
    }
    chart.draw_series(LineSeries::new(picture.points(), colour.stroke_width(3)))?;
    Ok(())
}
