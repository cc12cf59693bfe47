//! Prometheus' text format, read strictly.

use std::collections::BTreeMap;

pub(crate) type Labels = BTreeMap<String, String>;

/// One sample line.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// All that one scrape has shown.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Exposition {
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) helps: BTreeMap<String, String>,
    pub(crate) samples: Vec<Sample>,
}

impl Exposition {
    pub(crate) fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                all.note(rest, |all| &mut all.types);
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                all.note(rest, |all| &mut all.helps);
            } else {
                all.samples.push(sample(line));
            }
        }
        all.samples.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        let twice =
            all.samples.windows(2).find(|two| two[0].name == two[1].name && two[0].labels == two[1].labels);
        assert_eq!(twice, None, "a series is there twice");
        all
    }

    fn note(&mut self, line: &str, of: impl Fn(&mut Self) -> &mut BTreeMap<String, String>) {
        let (name, text) = line.split_once(' ').expect("a name and a text");
        let before = of(self).insert(name.to_owned(), text.to_owned());
        assert_eq!(before, None, "{name} is described twice");
    }

    /// The value of the one series with these labels.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let found = self.samples.iter().find(|sample| sample.name == name && sample.labels == labels);
        found.unwrap_or_else(|| panic!("no {name} {labels:?}")).value
    }
}

/// `name{label="value",…} 7`; no value of ours has anything to be escaped.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a series and a value");
    let (name, labels) = match series.split_once('{') {
        None => (series, Labels::new()),
        Some((name, rest)) => {
            let inside = rest.strip_suffix('}').expect("a closing brace");
            (name, inside.split("\",").map(label).collect())
        }
    };
    Sample { name: name.to_owned(), labels, value: value.parse().expect("a number") }
}

fn label(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once("=\"").expect("a label");
    let value = value.strip_suffix('"').unwrap_or(value);
    assert!(!value.contains(['"', '\\']), "{pair} is not read right");
    (name.to_owned(), value.to_owned())
}
