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
    chart(
        path,
        "Teasers: confidence against the share that is right",
        ("confidence", "right"),
        |chart| {
            chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.mix(0.3)))?;
            let points = filled.iter().map(|it| (it.mean_confidence, it.right));
            chart.draw_series(LineSeries::new(points.clone(), &BLUE))?;
            chart.draw_series(points.map(|it| Circle::new(it, 4, BLUE.filled())))?;
            chart.draw_series(filled.iter().map(|it| {
                let place = (it.mean_confidence, (it.right - 0.03).max(0.02));
                Text::new(it.count.to_string(), place, ("sans-serif", 13))
            }))?;
            Ok(())
        },
    )
}

fn precision_recall(path: &Path, title: &str, curve: &[CurvePoint]) -> anyhow::Result<()> {
    chart(path, title, ("recall", "precision"), |chart| {
        let points = curve.iter().map(|it| (it.recall, it.precision));
        chart.draw_series(LineSeries::new(points, &BLUE))?;
        // A threshold now and then, so that one can be read off the curve.
        let marked = curve.iter().step_by(curve.len().div_ceil(8).max(1));
        chart.draw_series(
            marked.clone().map(|it| Circle::new((it.recall, it.precision), 3, BLUE.filled())),
        )?;
        chart.draw_series(marked.map(|it| {
            let place = ((it.recall - 0.05).max(0.0), (it.precision - 0.02).max(0.02));
            Text::new(format!("{:.2}", it.threshold), place, ("sans-serif", 13))
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

/// A chart of shares over shares.
fn chart<'b>(
    path: &'b Path,
    title: &str,
    (x, y): (&str, &str),
    series: impl FnOnce(&mut Chart<'_, 'b>) -> Drawn<'b>,
) -> anyhow::Result<()> {
    let draw = || -> Drawn<'b> {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..1.0, 0.0..1.02)?;
        chart.configure_mesh().x_desc(x).y_desc(y).light_line_style(WHITE).draw()?;
        series(&mut chart)?;
        area.present()
    };
    draw().map_err(|error| anyhow!("{} cannot be drawn: {error}", path.display()))
}
