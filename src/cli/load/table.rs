//! The figures of a load test as a table for people.

use doublon::load::figures::{Figures, MixFigures, Report, Server};

/// Lines of text.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{} articles (seed {}), {} processors shared by client and servers; {} callers on {} connections, {} s a phase",
            report.articles,
            report.seed,
            report.processors,
            report.in_flight,
            report.connections,
            report.seconds,
        ),
        String::new(),
        format!(
            "{:<26}{:>10}{:>9}{:>9}{:>9}{:>9}{:>8}{:>7}{:>11}{:>11}",
            "",
            "a second",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "p99.9",
            "errors",
            "wrong",
            "server us",
            "client us"
        ),
    ];
    for (name, figures) in [
        ("PutArticles stream", &report.put_stream),
        ("echo unary", &report.echo),
        ("MatchTeaser unary", &report.unary),
        ("echo stream", &report.echo_stream),
        ("MatchTeasers stream", &report.stream),
        ("FindDuplicates unary", &report.find_duplicates),
        ("AnalyzePage unary", &report.analyze_page),
    ] {
        lines.push(row(name, figures));
    }
    lines.push(String::new());
    lines.push(format!("the mix, closed loop: {:.0} a second", report.mixed.per_second));
    lines.extend(mix_rows(&report.mixed));
    for step in &report.open_loop {
        let rate = step.rate.unwrap_or_default();
        lines.push(format!(
            "the mix, open loop at {rate:.0} a second: {:.0} a second",
            step.per_second
        ));
        lines.extend(mix_rows(step));
    }
    lines.push(String::new());
    let share = report.share_of_echo;
    lines.push(format!(
        "of the echo: unary {:.2} (p99 {:.1} times as long), stream {:.2}",
        share.unary, share.unary_p99, share.stream
    ));
    lines.extend(server(&report.server));
    lines.extend(errors(report));
    lines
}

fn row(name: &str, it: &Figures) -> String {
    let latency = it.latency.map_or_else(
        || format!("{:>36}", ""),
        |it| format!("{:>9.2}{:>9.2}{:>9.2}{:>9.2}", it.p50_ms, it.p90_ms, it.p99_ms, it.p999_ms),
    );
    let cpu = |us: Option<f64>| us.map_or_else(String::new, |it| format!("{it:.1}"));
    format!(
        "{name:<26}{:>10.0}{latency}{:>8}{:>7}{:>11}{:>11}",
        it.per_second,
        it.errors,
        it.wrong,
        cpu(it.server_cpu_us),
        cpu(it.client_cpu_us)
    )
    .trim_end()
    .to_owned()
}

fn mix_rows(mix: &MixFigures) -> impl Iterator<Item = String> {
    mix.parts().map(|(name, figures)| row(&format!("  {name}"), figures))
}

fn server(it: &Server) -> Option<String> {
    const MIB: f64 = 1024.0 * 1024.0;
    let mib = |it: Option<u64>| it.unwrap_or_default() as f64 / MIB;
    Some(format!(
        "the server: ready in {:.2} s with {:.0} MiB of memory (before, {:.0} MiB at most), {:.0} MiB on the disk",
        it.ready_seconds?,
        mib(it.rss_bytes),
        mib(it.rss_peak_bytes),
        mib(it.disk_bytes)
    ))
}

fn errors(report: &Report) -> Vec<String> {
    let mixes = std::iter::once(&report.mixed).chain(&report.open_loop);
    let parts = [
        ("PutArticles stream", &report.put_stream),
        ("echo unary", &report.echo),
        ("MatchTeaser unary", &report.unary),
        ("echo stream", &report.echo_stream),
        ("MatchTeasers stream", &report.stream),
        ("FindDuplicates unary", &report.find_duplicates),
        ("AnalyzePage unary", &report.analyze_page),
    ];
    let parts = parts.into_iter().chain(mixes.flat_map(MixFigures::parts));
    let by_code = |(name, figures): (&str, &Figures)| {
        let codes = figures.errors_by_code.iter();
        codes.map(|(code, count)| format!("{name}: {count} times {code}")).collect::<Vec<_>>()
    };
    parts.flat_map(by_code).collect()
}
