//! The bar chart of results, as SVG without scripts or fonts of its own.
//! Takes the results of a day; gives a picture that reads on light and dark ground.
//! It must never cut an axis: bars begin at zero, so that their lengths compare.

use std::fmt::{self, Write as _};

use super::jobs::JOBS;
use super::results::{JobResult, Results};

const WIDTH: f64 = 760.0;
/// Where bars begin: left of it stand the names.
const LEFT: f64 = 200.0;
const ROW: f64 = 24.0;
const HEAD: f64 = 40.0;
/// Room for the figure behind the longest bar.
const RIGHT: f64 = 130.0;

/// CPU time for a request: a panel for each job that has it.
pub(super) fn svg(results: &Results) -> Result<String, fmt::Error> {
    let jobs: Vec<(&str, &JobResult)> = JOBS
        .iter()
        .filter_map(|job| Some((job.name, results.jobs.get(job.name)?)))
        .filter(|(_, job)| job.lines.iter().any(|line| line.median("cpu_us").is_some()))
        .collect();
    let height: f64 = jobs.iter().map(|(_, job)| HEAD + ROW * job.lines.len() as f64).sum::<f64>() + HEAD;
    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"CPU microseconds for a request, by proxy\">\n<style>\n\
         text {{ font: 13px system-ui, sans-serif; fill: #24292f }}\n.head {{ font-weight: 600 }}\n\
         .peer {{ fill: #8c959f }}\n.own {{ fill: #0969a5 }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .own {{ fill: #58a6ff }} }}\n</style>"
    )?;
    let mut top = 24.0;
    writeln!(
        svg,
        "<text class=\"head\" x=\"8\" y=\"{top}\">CPU µs per request, {}, less is better</text>",
        results.day
    )?;
    for (name, job) in jobs {
        top += HEAD - 8.0;
        writeln!(svg, "<text class=\"head\" x=\"8\" y=\"{top}\">{name}</text>")?;
        panel(&mut svg, job, top)?;
        top += ROW * job.lines.len() as f64 + 8.0;
    }
    writeln!(svg, "</svg>")?;
    Ok(svg)
}

fn panel(svg: &mut String, job: &JobResult, top: f64) -> fmt::Result {
    let most = job.lines.iter().filter_map(|line| line.median("cpu_us")).fold(f64::MIN_POSITIVE, f64::max);
    for (nth, line) in job.lines.iter().enumerate() {
        let Some(median) = line.median("cpu_us") else { continue };
        let y = top + 8.0 + ROW * nth as f64;
        let length = (WIDTH - LEFT - RIGHT) * median / most;
        let class = if line.contender.starts_with("Tidegate") { "own" } else { "peer" };
        let middle = y + 13.0;
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            line.contender
        )?;
        writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\"/>",
            ROW - 6.0
        )?;
        writeln!(svg, "<text x=\"{:.1}\" y=\"{middle}\">{median:.2}</text>", LEFT + length + 8.0)?;
    }
    Ok(())
}

#[test]
fn the_longest_bar_fills_the_panel_and_the_rest_are_in_proportion() {
    use super::results::Line;
    let line = |name: &str, value: f64| Line {
        contender: name.to_owned(),
        rounds: vec![[("cpu_us".to_owned(), value)].into()],
    };
    let lines = vec![line("nginx", 20.0), line("Tidegate", 10.0)];
    let job = JobResult { title: String::new(), runs: 1, seconds: 1.0, of: String::new(), lines };
    let results = Results { jobs: [("plain".to_owned(), job)].into(), ..Results::default() };
    let svg = svg(&results).unwrap();
    assert!(svg.contains("class=\"peer\" x=\"200\" y=\"64\" width=\"430.0\""), "{svg}");
    assert!(svg.contains("class=\"own\" x=\"200\" y=\"88\" width=\"215.0\""), "{svg}");
}
