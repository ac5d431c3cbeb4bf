//! The curves of an evaluation as SVG.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use doublon::eval::measures::CurvePoint;
use doublon::eval::report::{CalibrationBin, Report};
use plotters::prelude::*;

const SIZE: (u32, u32) = (720, 540);

/// Draws what the report has into a folder, which is made where it is not there.
pub(super) fn draw(report: &Report, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    if let Some(teasers) = &report.teasers {
        calibration(&folder.join("calibration.svg"), &teasers.calibration)?;
        let title = "Teasers: precision and recall over the confidence";
        precision_recall(&folder.join("teasers.svg"), title, &teasers.curve)?;
    }
    if let Some(pairs) = &report.pairs {
        let title = "Near-duplicates: precision and recall over the overlap";
        precision_recall(&folder.join("pairs.svg"), title, &pairs.curve)?;
    }
    Ok(())
}

/// What answers are worth that say how sure they are: on the diagonal, as much as
/// they say.
fn calibration(path: &Path, bins: &[CalibrationBin]) -> anyhow::Result<()> {
    let filled: Vec<&CalibrationBin> = bins.iter().filter(|it| it.count > 0).collect();
    let title = "Teasers: confidence against the share that is right, with the answers";
    let area = Area { title, x: "confidence", y: "right", from: (0.0, 0.0) };
    chart(path, area, |chart| {
        chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.mix(0.3)))?;
        let points = filled.iter().map(|it| (it.mean_confidence, it.right));
        chart.draw_series(LineSeries::new(points.clone(), &BLUE))?;
        chart.draw_series(points.map(|it| Circle::new(it, 4, BLUE.filled())))?;
        chart.draw_series(filled.iter().map(|it| {
            let place = (it.mean_confidence.min(0.95), (it.right - 0.03).max(0.02));
            Text::new(it.count.to_string(), place, ("sans-serif", 13))
        }))?;
        Ok(())
    })
}

/// Scores that are marked on a curve, so that a threshold can be read off it.
const MARKED: [f64; 7] = [0.25, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99];

fn precision_recall(path: &Path, title: &str, curve: &[CurvePoint]) -> anyhow::Result<()> {
    let marked = MARKED.iter().filter_map(|mark| {
        let reached = curve.iter().take_while(|it| it.threshold >= *mark).last()?;
        Some((*mark, reached.recall, reached.precision))
    });
    let marked: Vec<(f64, f64, f64)> = marked.collect();
    let least = |values: &mut dyn Iterator<Item = f64>| {
        let least = values.fold(1.0, f64::min);
        ((least - 0.005) * 100.0).floor().max(0.0) / 100.0
    };
    let from = (least(&mut marked.iter().map(|it| it.1)), least(&mut marked.iter().map(|it| it.2)));
    let area = Area { title, x: "recall", y: "precision", from };
    chart(path, area, |chart| {
        let points = curve.iter().map(|it| (it.recall, it.precision));
        let shown = points.filter(|it| it.0 >= from.0 && it.1 >= from.1);
        chart.draw_series(LineSeries::new(shown, &BLUE))?;
        let circle = |it: &(f64, f64, f64)| Circle::new((it.1, it.2), 3, BLUE.filled());
        chart.draw_series(marked.iter().map(circle))?;
        chart.draw_series(marked.iter().enumerate().map(|(at, (mark, recall, precision))| {
            // One below the other, so that marks that are near each other can be read.
            let down = (0.02 + 0.05 * (at % 3) as f64) * (1.0 - from.1);
            Text::new(mark.to_string(), (*recall, precision - down), ("sans-serif", 13))
        }))?;
        Ok(())
    })
}

type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;
type Drawn<'b> = Result<(), DrawingAreaErrorKind<<SVGBackend<'b> as DrawingBackend>::ErrorType>>;

/// What a chart shows, and from which shares on.
#[derive(Debug, Clone, Copy)]
struct Area<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    from: (f64, f64),
}

/// A chart of shares over shares.
fn chart<'b>(
    path: &'b Path,
    shown: Area<'_>,
    series: impl FnOnce(&mut Chart<'_, 'b>) -> Drawn<'b>,
) -> anyhow::Result<()> {
    let draw = || -> Drawn<'b> {
        let Area { title, x, y, from } = shown;
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(from.0..1.0, from.1..1.0 + 0.02 * (1.0 - from.1))?;
        chart.configure_mesh().x_desc(x).y_desc(y).light_line_style(WHITE).draw()?;
        series(&mut chart)?;
        area.present()
    };
    draw().map_err(|error| anyhow!("{} cannot be drawn: {error}", path.display()))
}
