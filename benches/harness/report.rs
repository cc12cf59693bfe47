//! The command line, the tables and the count of goals.

use std::ops::RangeInclusive;

use clap::Parser;

use super::measure::{Measure, find};

#[derive(Parser)]
struct Options {
    /// Only measures whose title contains this.
    #[arg(long, value_name = "SUBSTR")]
    filter: Option<String>,
    /// The same, as cargo passes it on.
    title: Option<String>,
    /// Rounds of each measure.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Also print each measure as a row of a markdown table.
    #[arg(long)]
    markdown: bool,
    /// Run everything once with few operations, to see that it works.
    #[arg(long)]
    smoke: bool,
    /// Passed by cargo when it benches; without it this is a test, and a smoke run will do.
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(long, hide = true)]
    test: bool,
}

/// Runs measures, prints them, and keeps count of the goals.
pub(crate) struct Report {
    options: Options,
    suffix: String,
    markdown: Vec<String>,
    goals: usize,
    missed: Vec<String>,
}

impl Report {
    /// A report as the command line asks for it.
    pub(crate) fn new() -> Self {
        let mut options = Options::parse();
        options.smoke |= options.test || !options.bench;
        if options.smoke {
            options.rounds = 1;
        }
        println!("Built with the profile {}.", profile());
        Self { options, suffix: String::new(), markdown: Vec::new(), goals: 0, missed: Vec::new() }
    }

    /// Adds the profile to each title, where figures of several are compared.
    pub(crate) fn with_profile(mut self) -> Self {
        self.suffix = format!(", profile {}", profile());
        self
    }

    /// Runs one measure, unless it is filtered out.
    pub(crate) fn add(&mut self, mut measure: Measure<'_>) {
        measure.title.push_str(&self.suffix);
        if self.wants(&measure.title) {
            measure.measure(self.options.rounds, self.options.smoke);
            self.print(&measure);
        }
    }

    /// Returns `false` if a measure with this title is filtered out.
    pub(crate) fn wants(&self, title: &str) -> bool {
        let wanted = |part: &Option<String>| part.as_ref().is_none_or(|part| title.contains(part));
        wanted(&self.options.filter) && wanted(&self.options.title)
    }

    fn print(&mut self, measure: &Measure<'_>) {
        let title = format!("{} ({})", measure.title, measure.figures[0]);
        let others = measure.figures[1..].iter().map(|name| format!("  {name:<34}")).collect::<String>();
        println!("\n{title}");
        let header =
            format!("  {:<28}{:>10}{:>22}{:>9}  {:<12}{others}", "", "median", "range", "ours ÷", "goal");
        println!("{}", header.trim_end());
        let rows: Vec<Row> = (0..measure.contenders.len()).map(|at| self.row(measure, at)).collect();
        for row in &rows {
            let Cell { figure, ratio, goal } = &row.cells[0];
            let others: String = row.cells[1..].iter().map(|cell| format!("  {:<34}", cell.text())).collect();
            let line =
                format!("  {:<28}{figure:>10}{:>22}{ratio:>9}  {goal:<12}{others}", row.name, row.range);
            println!("{}", line.trim_end());
        }
        let rows: Vec<String> = rows.iter().map(|row| row.markdown(&measure.figures)).collect();
        self.markdown.push(format!("| {title} | {} | {} |", rows[0], rows[1..].join(", ")));
    }

    fn row(&mut self, measure: &Measure<'_>, at: usize) -> Row {
        let contender = &measure.contenders[at];
        let found = contender.sorted(0);
        let cells = (0..measure.figures.len()).filter_map(|figure| self.cell(measure, at, figure)).collect();
        let name = if at == 0 && contender.name == "latchwork" { "" } else { &contender.name };
        Row {
            name: contender.name.clone(),
            in_markdown: name.to_owned(),
            range: format!("{} – {}", number(found[0]), number(found[found.len() - 1])),
            cells,
        }
    }

    fn cell(&mut self, measure: &Measure<'_>, at: usize, figure: usize) -> Option<Cell> {
        let contender = &measure.contenders[at];
        let median = contender.median(figure)?;
        let what = if figure == 0 { "" } else { measure.figures[figure] };
        if at == 0 {
            let goal = find(&measure.bounds, figure);
            let goal = goal.map(|range| self.judge(&measure.title, what, median, range)).unwrap_or_default();
            return Some(Cell { figure: number(median), ratio: String::new(), goal });
        }
        // Judged as it is shown.
        let ratio = (100.0 * measure.contenders[0].median(figure)? / median).round() / 100.0;
        let goal = contender.goal(figure);
        // Of the further figures those ratios are shown that matter.
        let shown = ratio.is_finite() && (figure == 0 || goal.is_some());
        let what = format!("{what} ÷ {}", contender.name).trim_start().to_owned();
        let goal = goal.map(|range| self.judge(&measure.title, &what, ratio, range)).unwrap_or_default();
        let ratio = if shown { format!("{ratio:.2}") } else { String::new() };
        Some(Cell { figure: number(median), ratio, goal })
    }

    /// Notes whether a goal is met, and says so. A smoke run has none.
    fn judge(&mut self, title: &str, what: &str, figure: f64, range: &RangeInclusive<f64>) -> String {
        if self.options.smoke {
            return String::new();
        }
        let (low, high) = (range.start(), range.end());
        let goal = match () {
            () if *low <= 0.0 => format!("≤ {high}"),
            () if high.is_infinite() => format!("≥ {low}"),
            () => format!("{low} – {high}"),
        };
        self.goals += 1;
        if range.contains(&figure) {
            return format!("{goal} ✓");
        }
        let what = if what.is_empty() { String::new() } else { format!("{what} ") };
        self.missed.push(format!("{title}: {what}{}, goal {goal}", number(figure)));
        format!("{goal} ✗")
    }

    /// Prints what came of the goals, and the markdown rows if they were asked for.
    pub(crate) fn finish(self) {
        if self.options.smoke {
            println!("\nA smoke run: everything works, and the figures mean nothing.");
            return;
        }
        println!("\n{} of {} goals met, profile {}", self.goals - self.missed.len(), self.goals, profile());
        for missed in &self.missed {
            println!("  missed: {missed}");
        }
        if self.options.markdown {
            println!("\n| measure | latchwork | peers (ours ÷ theirs) |\n|---|---|---|");
            for row in &self.markdown {
                println!("{row}");
            }
        }
    }
}

/// The profile of this build: cargo puts what it builds into a folder of that name.
pub(super) fn profile() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.ancestors().nth(2).and_then(|folder| folder.file_name());
    match folder.and_then(|name| name.to_str()) {
        // The folder that `bench` shares with `release`.
        Some("release") => "bench".to_owned(),
        Some("debug") => "dev".to_owned(),
        Some(name) => name.to_owned(),
        None => "unknown".to_owned(),
    }
}

/// What is printed of a contender.
struct Row {
    name: String,
    /// Without the name that the column has.
    in_markdown: String,
    range: String,
    cells: Vec<Cell>,
}

/// One figure of a contender.
struct Cell {
    figure: String,
    ratio: String,
    goal: String,
}

impl Cell {
    fn text(&self) -> String {
        let Self { figure, ratio, goal } = self;
        [figure.as_str(), ratio, goal]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("  ")
    }

    /// The ratio and the goal, as they stand in brackets.
    fn judged(&self) -> Vec<String> {
        let ratio = (!self.ratio.is_empty()).then(|| format!("**{}**", self.ratio));
        let named = if self.ratio.is_empty() { self.goal.clone() } else { format!("goal {}", self.goal) };
        ratio.into_iter().chain((!self.goal.is_empty()).then_some(named)).collect()
    }
}

impl Row {
    /// `name figure (ratio, goal, further figures)`.
    fn markdown(&self, names: &[&str]) -> String {
        let mut brackets = self.cells[0].judged();
        for (cell, name) in self.cells.iter().zip(names).skip(1) {
            let judged = cell.judged();
            let judged = if judged.is_empty() { String::new() } else { format!(": {}", judged.join(", ")) };
            brackets.push(format!("{name} {}{judged}", cell.figure));
        }
        let brackets =
            if brackets.is_empty() { String::new() } else { format!(" ({})", brackets.join("; ")) };
        format!("{} {}{brackets}", self.in_markdown, self.cells[0].figure).trim_start().to_owned()
    }
}

fn number(figure: f64) -> String {
    match figure {
        0.0 => "0".to_owned(),
        _ if figure.abs() < 1.0 => format!("{figure:.3}"),
        _ if figure < 100.0 => format!("{figure:.2}"),
        _ => format!("{figure:.0}"),
    }
}
