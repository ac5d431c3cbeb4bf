//! The latency of the open loops over their rate, as SVG.

use std::path::Path;

use anyhow::anyhow;
use doublon::load::figures::{Figures, MixFigures, Report};
use doublon::load::tally::Latency;
use plotters::prelude::*;

const SIZE: (u32, u32) = (760, 520);
/// The least latency that the logarithmic scale shows.
const LATENCY_MS_MIN: f64 = 0.05;

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;
type Kind = (&'static str, RGBColor, fn(&MixFigures) -> Option<&Figures>);
type Quantile = (&'static str, fn(&Latency) -> f64, f64);

/// Draws the curves into a file.
pub(super) fn draw(report: &Report, path: &Path) -> anyhow::Result<()> {
    curves(report, path).map_err(|error| anyhow!("{} cannot be drawn: {error}", path.display()))
}

fn curves<'a>(report: &Report, path: &'a Path) -> Drawn<'a> {
    let kinds: [Kind; 3] = [
        ("MatchTeaser", BLUE, |it| it.teasers.as_ref()),
        ("FindDuplicates", RGBColor(0, 128, 64), |it| it.duplicates.as_ref()),
        ("PutArticle", RED, |it| it.puts.as_ref()),
    ];
    let quantiles: [Quantile; 2] = [("p50", |it| it.p50_ms, 0.45), ("p99", |it| it.p99_ms, 1.0)];
    let steps = &report.open_loop;
    let rate_max = steps.iter().filter_map(|it| it.rate).fold(1.0, f64::max);
    let latencies = steps.iter().flat_map(|it| it.parts().filter_map(|it| it.1.latency));
    let latency_max = latencies.map(|it| it.p99_ms).fold(1.0, f64::max);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!("Latency over rate, {} articles", report.articles);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(
            0.0..rate_max * 1.05,
            (LATENCY_MS_MIN..latency_max * 1.5).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("calls a second")
        .y_desc("milliseconds")
        .light_line_style(WHITE)
        .draw()?;
    for (name, color, part) in kinds {
        for (quantile, of, opacity) in quantiles {
            let points: Vec<(f64, f64)> = steps
                .iter()
                .filter_map(|it| Some((it.rate?, of(&part(it)?.latency?).max(LATENCY_MS_MIN))))
                .collect();
            let Some(last) = points.last().copied() else { continue };
            let style = color.mix(opacity);
            chart.draw_series(LineSeries::new(points.clone(), style))?;
            chart.draw_series(points.into_iter().map(|it| Circle::new(it, 3, style.filled())))?;
            let label = format!("{name} {quantile}");
            let place = (last.0 * 0.86, last.1 * 1.12);
            chart.draw_series([Text::new(
                label,
                place,
                ("sans-serif", 13).into_font().color(&color),
            )])?;
        }
    }
    area.present()
}
