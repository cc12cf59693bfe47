//! The number of connections in use over time, small.

use std::time::Duration;

use crate::side::{CONNECTIONS, Phase};

/// Each point is the mean over this time.
const POINT: Duration = Duration::from_millis(100);

/// From none to all.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How many characters a phase gets in the terminal.
const COLUMNS: u32 = 24;

/// How many of them are for the time afterwards.
const COLUMNS_AFTERWARDS: u32 = 3;

/// What the time afterwards is called.
pub(crate) const OVER: &str = "over";

pub(crate) struct Picture {
    name: &'static str,
    phases: Vec<Phase>,
    each: Duration,
    looks: Vec<(Duration, u64)>,
}

impl Picture {
    pub(crate) fn new(name: &'static str, phases: &[Phase], each: Duration) -> Self {
        Self { name, phases: phases.to_vec(), each, looks: Vec::new() }
    }

    pub(crate) fn add(&mut self, at: Duration, in_use: u64) {
        self.looks.push((at, in_use));
    }

    /// Adds what is in use this long after the load is over.
    pub(crate) fn add_afterwards(&mut self, after: Duration, in_use: u64) {
        if after < self.afterwards() {
            self.looks.push((self.each * self.phases.len() as u32 + after, in_use));
        }
    }

    /// Returns how long the time afterwards is shown.
    pub(crate) fn afterwards(&self) -> Duration {
        self.each / COLUMNS * COLUMNS_AFTERWARDS
    }

    pub(crate) fn phases(&self) -> &[Phase] {
        &self.phases
    }

    pub(crate) fn each(&self) -> Duration {
        self.each
    }

    /// Returns the mean number in use over time, in seconds.
    pub(crate) fn points(&self) -> Vec<(f64, f64)> {
        self.means(POINT)
    }

    fn means(&self, width: Duration) -> Vec<(f64, f64)> {
        let part = |at: Duration| at.as_nanos() / width.as_nanos();
        self.looks
            .chunk_by(|one, next| part(one.0) == part(next.0))
            .map(|looks| {
                let mean = looks.iter().map(|look| look.1 as f64).sum::<f64>() / looks.len() as f64;
                ((part(looks[0].0) as f64 + 0.5) * width.as_secs_f64(), mean)
            })
            .collect()
    }

    /// Returns one line: a bar for each part of the time.
    pub(crate) fn sparkline(&self) -> String {
        let mut line = format!("{:>8}", self.name);
        let bars = self.means(self.each / COLUMNS);
        let names = self.phases.iter().map(|phase| phase.name()).chain([OVER]);
        for (nth, name) in names.enumerate() {
            if name != self.name {
                line = line + " " + name;
            }
            line.push(' ');
            let each = self.each.as_secs_f64();
            let section = each * nth as f64..each * (nth + 1) as f64;
            line.extend(bars.iter().filter(|(at, _)| section.contains(at)).map(|(_, mean)| bar(*mean)));
        }
        line
    }
}

fn bar(in_use: f64) -> char {
    let last = BARS.len() - 1;
    BARS[((in_use / f64::from(CONNECTIONS) * last as f64).round() as usize).min(last)]
}
