//! Draws the outcomes: failed calls on the left, the time to success of the others beside them.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::combinators::BindKeyPoints;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::storm::{Outcome, Strategy};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A ground of its own keeps it readable on light pages and on dark ones.
const GROUND: RGBColor = WHITE;
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(225, 225, 225);
const FONT: &str = "sans-serif";

/// Colours that also the colour-blind can tell apart (Okabe and Ito).
const fn colour(strategy: Strategy) -> RGBColor {
    match strategy {
        Strategy::NoJitter => RGBColor(213, 94, 0),
        Strategy::Equal => RGBColor(230, 159, 0),
        Strategy::Decorrelated => RGBColor(204, 121, 167),
        Strategy::Full => RGBColor(0, 114, 178),
        Strategy::Escalation => RGBColor(0, 158, 115),
    }
}

/// What one panel shows.
struct Panel {
    title: &'static str,
    figure: fn(&Outcome) -> f64,
    label: fn(&f64) -> String,
}

/// Writes the plot of `storms` to `path`.
pub(crate) fn draw(storms: &[Outcome], crowds: &[usize], path: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (960, 420)).into_drawing_area();
    root.fill(&GROUND)?;
    let (legend, panels) = root.split_vertically(60);
    draw_legend(&legend)?;
    let (left, times) = panels.split_horizontally(320);
    let (middle, right) = times.split_horizontally(320);

    let failed = Panel {
        title: "Failed calls",
        figure: |storm| storm.failed_percent,
        label: |percent| format!("{percent:.0} %"),
    };
    draw_panel(&left, storms, crowds, 0.0..100.0, &failed)?;

    type Figure = fn(&Outcome) -> f64;
    let times: [(_, _, Figure); 2] = [
        (&middle, "Time to success, median", |storm| storm.p50_ms),
        (&right, "Time to success, 99th percentile", |storm| storm.p99_ms),
    ];
    for (area, title, figure) in times {
        let label =
            |ms: &f64| if *ms < 1000.0 { format!("{ms:.0} ms") } else { format!("{:.0} s", ms / 1000.0) };
        let ticks = vec![50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 3000.0];
        let axis = (50.0..3000.0).log_scale().with_key_points(ticks);
        draw_panel(area, storms, crowds, axis, &Panel { title, figure, label })?;
    }
    root.present()?;
    Ok(())
}

fn draw_legend(area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let mut x = 30;
    for strategy in Strategy::ALL {
        let line = vec![(x, 34), (x + 22, 34)];
        area.draw(&PathElement::new(line, colour(strategy).stroke_width(3)))?;
        area.draw(&Circle::new((x + 11, 34), 4, colour(strategy).filled()))?;
        let name = strategy.name();
        area.draw(&Text::new(name, (x + 30, 27), (FONT, 14).into_font().color(&INK)))?;
        x += 30 + 7 * name.len() as i32 + 26;
    }
    Ok(())
}

fn draw_panel<Y>(
    area: &Area<'_>,
    storms: &[Outcome],
    crowds: &[usize],
    axis: Y,
    panel: &Panel,
) -> Result<(), Box<dyn Error>>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let (least, most) = (crowds[0] as f64, crowds[crowds.len() - 1] as f64);
    let ticks = crowds.iter().map(|handlers| *handlers as f64).collect();
    let handlers = (least..most).log_scale().with_key_points(ticks);
    let text = |size: u32| (FONT, size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, text(17))
        .margin(12)
        .margin_right(28)
        .x_label_area_size(46)
        .y_label_area_size(62)
        .build_cartesian_2d(handlers, axis)?;
    chart
        .configure_mesh()
        .y_labels(6)
        .x_desc("handlers on one row")
        .x_label_formatter(&|handlers| format!("{handlers:.0}"))
        .y_label_formatter(&panel.label)
        .label_style(text(13))
        .axis_desc_style(text(14))
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for strategy in Strategy::ALL {
        let of_strategy = storms.iter().filter(|storm| storm.strategy == strategy);
        let points: Vec<_> =
            of_strategy.map(|storm| (storm.handlers as f64, (panel.figure)(storm))).collect();
        let colour = colour(strategy);
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(3)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
    }
    Ok(())
}
