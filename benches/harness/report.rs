//! The command line, the tables and the count of goals.

use clap::Parser;

use super::Measure;

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
        Self { options, markdown: Vec::new(), goals: 0, missed: Vec::new() }
    }

    /// Runs one measure, unless it is filtered out.
    pub(crate) fn add(&mut self, mut measure: Measure<'_>) {
        let wanted = |part: &Option<String>| part.as_ref().is_none_or(|part| measure.title.contains(part));
        if !wanted(&self.options.filter) || !wanted(&self.options.title) {
            return;
        }
        for contender in &mut measure.contenders {
            match measure.fixed {
                Some(ops) if self.options.smoke => contender.ops = (ops / 100).max(1),
                Some(ops) => {
                    contender.ops = ops;
                    (contender.run)(ops);
                }
                None if self.options.smoke => {}
                None => contender.calibrate(),
            }
        }
        for _ in 0..self.options.rounds.max(1) {
            for contender in &mut measure.contenders {
                contender.rounds.push((contender.run)(contender.ops));
            }
        }
        self.print(&measure);
    }

    fn print(&mut self, measure: &Measure<'_>) {
        let title = format!("{} ({})", measure.title, measure.unit);
        let extra = measure.extra.map_or("", |(name, _)| name);
        println!("\n{title}");
        println!("  {:<28}{:>10}{:>22}{:>9}  {:<10}{extra}", "", "median", "range", "ours ÷", "goal");
        let rows: Vec<Row> = (0..measure.contenders.len()).map(|at| self.row(measure, at)).collect();
        for row in &rows {
            let Row { name, median, range, ratio, goal, extra } = row;
            println!("  {name:<28}{median:>10}{range:>22}{ratio:>9}  {goal:<10}{extra}");
        }
        let Row { median, goal, extra: figure, .. } = &rows[0];
        let brackets = |text: &str| if text.is_empty() { String::new() } else { format!(" ({text})") };
        let figure = if figure.is_empty() { String::new() } else { format!(", {extra}: {figure}") };
        let peer = |row: &Row| match row.goal.as_str() {
            "" => format!("{} {}", row.name, row.median),
            goal => format!("{} {} (**{}**, goal {goal})", row.name, row.median, row.ratio),
        };
        let peers: Vec<String> = rows[1..].iter().map(peer).collect();
        self.markdown.push(format!(
            "| {title} | {median}{}{figure} | {} |",
            brackets(goal),
            peers.join(", ")
        ));
    }

    fn row(&mut self, measure: &Measure<'_>, at: usize) -> Row {
        let contender = &measure.contenders[at];
        // Judged as it is shown.
        let ratio = (100.0 * measure.contenders[0].median() / contender.median()).round() / 100.0;
        let goal = match (contender.goal, measure.bound) {
            (Some(factor), _) => self.judge(&measure.title, &contender.name, ratio, 0.0, factor),
            (None, Some(bound)) if at == 0 => self.judge(&measure.title, "", contender.median(), 0.0, bound),
            _ => String::new(),
        };
        let extra = match (contender.extra(), measure.extra) {
            (Some(figure), Some((name, Some((low, high))))) if at == 0 => {
                format!("{} {}", number(figure), self.judge(&measure.title, name, figure, low, high))
            }
            (Some(figure), _) => number(figure),
            (None, _) => String::new(),
        };
        let values = || contender.rounds.iter().map(|round| round.value);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        Row {
            name: contender.name.clone(),
            median: number(contender.median()),
            range: format!("{} – {}", number(low), number(high)),
            ratio: if at > 0 && ratio.is_finite() { format!("{ratio:.2}") } else { String::new() },
            goal,
            extra,
        }
    }

    /// Notes whether a goal is met, and says so. A smoke run has none.
    fn judge(&mut self, title: &str, by: &str, figure: f64, low: f64, high: f64) -> String {
        if self.options.smoke {
            return String::new();
        }
        let goal = if low > 0.0 { format!("{low} – {high}") } else { format!("≤ {high}") };
        self.goals += 1;
        if (low..=high).contains(&figure) {
            return format!("{goal} ✓");
        }
        self.missed.push(format!("{title}: {by} {}, goal {goal}", number(figure)));
        format!("{goal} ✗")
    }

    /// Prints what came of the goals, and the markdown rows if they were asked for.
    pub(crate) fn finish(self) {
        if self.options.smoke {
            println!("\nA smoke run: everything works, and the figures mean nothing.");
            return;
        }
        println!("\n{} of {} goals met", self.goals - self.missed.len(), self.goals);
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

/// What is printed of a contender.
struct Row {
    name: String,
    median: String,
    range: String,
    ratio: String,
    goal: String,
    extra: String,
}

fn number(figure: f64) -> String {
    match figure {
        0.0 => "0".to_owned(),
        _ if figure.abs() < 1.0 => format!("{figure:.3}"),
        _ if figure < 100.0 => format!("{figure:.2}"),
        _ => format!("{figure:.0}"),
    }
}
