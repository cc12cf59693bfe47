//! As much of PromQL as the alert rules use, evaluated over two scrapes. Whatever it does not know is an
//! error.
//!
//! `rate` and `increase` take the difference of the two scrapes over the time between them. Prometheus extrapolates
//! to the edges of the range, which makes no difference when the scrapes are at the edges.

use std::time::Duration;

use promql_parser::label::Matchers;
use promql_parser::parser::token::{
    T_ADD, T_DIV, T_EQLC, T_GTE, T_GTR, T_LAND, T_LSS, T_LTE, T_MUL, T_NEQ, T_SUB, T_SUM, TokenId,
};
use promql_parser::parser::{
    AggregateExpr, BinModifier, BinaryExpr, Call, Expr, LabelModifier, MatrixSelector,
    VectorMatchCardinality, VectorSelector, parse,
};

use super::exposition::{Exposition, Labels, Sample};

/// Labels without the name, and a value.
pub(crate) type Series = (Labels, f64);

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Scalar(f64),
    Vector(Vec<Series>),
}

/// Two scrapes of one target.
pub(crate) struct Scrapes {
    pub(crate) before: Exposition,
    pub(crate) after: Exposition,
    pub(crate) apart: Duration,
}

type Outcome<T> = Result<T, String>;

impl Scrapes {
    /// The value of an expression at the second scrape.
    pub(crate) fn ask(&self, text: &str) -> Outcome<Vec<Series>> {
        match self.eval(&parse(text)?)? {
            Value::Vector(series) => Ok(series),
            Value::Scalar(_) => Err(format!("not about any series: {text}")),
        }
    }

    fn eval(&self, expr: &Expr) -> Outcome<Value> {
        match expr {
            Expr::NumberLiteral(number) => Ok(Value::Scalar(number.val)),
            Expr::Paren(paren) => self.eval(&paren.expr),
            Expr::VectorSelector(selector) => {
                let samples = select(&self.after, selector)?;
                Ok(Value::Vector(
                    samples.into_iter().map(|sample| (sample.labels.clone(), sample.value)).collect(),
                ))
            }
            Expr::Call(call) => self.call(call).map(Value::Vector),
            Expr::Aggregate(aggregate) => self.sum(aggregate).map(Value::Vector),
            Expr::Binary(binary) => self.binary(binary),
            other => Err(format!("a form that is not known here: {other}")),
        }
    }

    fn vector(&self, expr: &Expr) -> Outcome<Vec<Series>> {
        match self.eval(expr)? {
            Value::Vector(series) => Ok(series),
            Value::Scalar(_) => Err(format!("not a vector: {expr}")),
        }
    }

    fn call(&self, call: &Call) -> Outcome<Vec<Series>> {
        let [range] = &call.args.args[..] else { return Err(format!("one argument, please: {call}")) };
        let Expr::MatrixSelector(range) = &**range else { return Err(format!("not a range: {call}")) };
        let per = match call.func.name {
            "rate" => 1.0,
            "increase" => range.range.as_secs_f64(),
            _ => return Err(format!("a function that is not known here: {call}")),
        };
        let deltas = self.deltas(range)?;
        Ok(deltas
            .into_iter()
            .map(|(labels, delta)| (labels, delta / self.apart.as_secs_f64() * per))
            .collect())
    }

    /// By how much the counters have grown that both scrapes show.
    fn deltas(&self, range: &MatrixSelector) -> Outcome<Vec<Series>> {
        if range.range < self.apart {
            return Err(format!("only one scrape is in the range: {range}"));
        }
        let before = select(&self.before, &range.vs)?;
        let mut deltas = Vec::new();
        for after in select(&self.after, &range.vs)? {
            let Some(before) = before.iter().find(|before| before.labels == after.labels) else { continue };
            if after.value < before.value {
                return Err(format!("a counter that falls: {after:?}"));
            }
            deltas.push((after.labels.clone(), after.value - before.value));
        }
        Ok(deltas)
    }

    fn sum(&self, aggregate: &AggregateExpr) -> Outcome<Vec<Series>> {
        let by = match &aggregate.modifier {
            Some(LabelModifier::Include(by)) => &by.labels[..],
            None => &[],
            Some(LabelModifier::Exclude(_)) => {
                return Err(format!("`without` is not known here: {aggregate}"));
            }
        };
        if aggregate.op.id() != T_SUM || aggregate.param.is_some() {
            return Err(format!("an aggregation that is not known here: {aggregate}"));
        }
        let mut sums: Vec<Series> = Vec::new();
        for (labels, value) in self.vector(&aggregate.expr)? {
            let group: Labels = labels.into_iter().filter(|(name, _)| by.contains(name)).collect();
            match sums.iter_mut().find(|(labels, _)| *labels == group) {
                Some((_, sum)) => *sum += value,
                None => sums.push((group, value)),
            }
        }
        Ok(sums)
    }

    fn binary(&self, binary: &BinaryExpr) -> Outcome<Value> {
        check_modifier(binary)?;
        let (left, right) = (self.eval(&binary.lhs)?, self.eval(&binary.rhs)?);
        let op = binary.op.id();
        if op == T_LAND {
            let (Value::Vector(left), Value::Vector(right)) = (left, right) else {
                return Err(format!("`and` is for vectors: {binary}"));
            };
            let kept = left.into_iter().filter(|(labels, _)| right.iter().any(|(other, _)| other == labels));
            return Ok(Value::Vector(kept.collect()));
        }
        let apply = operator(op).ok_or_else(|| format!("an operator that is not known here: {binary}"))?;
        Ok(match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(
                apply(left, right).ok_or_else(|| format!("`bool` is not known here: {binary}"))?,
            ),
            (Value::Vector(left), Value::Scalar(right)) => {
                Value::Vector(keep(left, |value| apply(value, right)))
            }
            (Value::Scalar(left), Value::Vector(right)) => {
                if binary.op.is_comparison_operator() {
                    return Err(format!("the vector comes first here: {binary}"));
                }
                Value::Vector(keep(right, |value| apply(left, value)))
            }
            (Value::Vector(left), Value::Vector(right)) => Value::Vector(matched(left, &right, apply)?),
        })
    }
}

fn keep(series: Vec<Series>, apply: impl Fn(f64) -> Option<f64>) -> Vec<Series> {
    series.into_iter().filter_map(|(labels, value)| Some((labels, apply(value)?))).collect()
}

/// Pairs those that have the same labels.
fn matched(left: Vec<Series>, right: &[Series], apply: fn(f64, f64) -> Option<f64>) -> Outcome<Vec<Series>> {
    let mut out: Vec<Series> = Vec::new();
    for (labels, value) in left {
        let mut partners = right.iter().filter(|(other, _)| *other == labels);
        let partner = partners.next();
        if partners.next().is_some() || out.iter().any(|(other, _)| *other == labels) {
            return Err(format!("several series have the labels {labels:?}"));
        }
        if let Some(value) = partner.and_then(|(_, other)| apply(value, *other)) {
            out.push((labels, value));
        }
    }
    Ok(out)
}

/// An operator's value; of a comparison that fails there is none.
fn operator(op: TokenId) -> Option<fn(f64, f64) -> Option<f64>> {
    Some(match op {
        T_ADD => |a, b| Some(a + b),
        T_SUB => |a, b| Some(a - b),
        T_MUL => |a, b| Some(a * b),
        T_DIV => |a, b| Some(a / b),
        T_GTR => |a, b| (a > b).then_some(a),
        T_GTE => |a, b| (a >= b).then_some(a),
        T_LSS => |a, b| (a < b).then_some(a),
        T_LTE => |a, b| (a <= b).then_some(a),
        T_EQLC => |a, b| (a == b).then_some(a),
        T_NEQ => |a, b| (a != b).then_some(a),
        _ => return None,
    })
}

/// Only series with the same labels are matched here, and comparisons are filters.
fn check_modifier(binary: &BinaryExpr) -> Outcome<()> {
    let Some(BinModifier { card, matching, return_bool, fill_values }) = &binary.modifier else {
        return Ok(());
    };
    let plain_card = match card {
        VectorMatchCardinality::OneToOne => true,
        VectorMatchCardinality::ManyToMany => binary.op.id() == T_LAND,
        _ => false,
    };
    let plain_matching = match matching {
        None => true,
        Some(LabelModifier::Exclude(labels)) => labels.is_empty(),
        Some(LabelModifier::Include(_)) => false,
    };
    if plain_card && plain_matching && !return_bool && *fill_values == Default::default() {
        Ok(())
    } else {
        Err(format!("a modifier that is not known here: {binary}"))
    }
}

/// The samples that a selector selects; none is an error, as the name is wrong then.
fn select<'a>(scrape: &'a Exposition, selector: &VectorSelector) -> Outcome<Vec<&'a Sample>> {
    let VectorSelector { name, matchers: Matchers { matchers, or_matchers }, offset, at } = selector;
    let Some(name) = name else { return Err(format!("a name, please: {selector}")) };
    if !or_matchers.is_empty() || offset.is_some() || at.is_some() {
        return Err(format!("a selector that is not known here: {selector}"));
    }
    let matches = |sample: &&Sample| {
        let label = |name: &str| sample.labels.get(name).map_or("", String::as_str);
        sample.name == *name && matchers.iter().all(|matcher| matcher.is_match(label(&matcher.name)))
    };
    let found: Vec<_> = scrape.samples.iter().filter(matches).collect();
    if found.is_empty() { Err(format!("nothing is there: {selector}")) } else { Ok(found) }
}

fn scrapes(before: &str, after: &str) -> Scrapes {
    let (before, after) = (Exposition::parse(before), Exposition::parse(after));
    Scrapes { before, after, apart: Duration::from_secs(300) }
}

fn sample_scrapes() -> Scrapes {
    scrapes(
        "a{x=\"1\",y=\"p\"} 100\na{x=\"1\",y=\"q\"} 0\na{x=\"2\",y=\"p\"} 7\nb{x=\"1\"} 0\nb{x=\"2\"} 0\n",
        "a{x=\"1\",y=\"p\"} 400\na{x=\"1\",y=\"q\"} 300\na{x=\"2\",y=\"p\"} 7\nb{x=\"1\"} 300\nb{x=\"2\"} 0\nnew 1\n",
    )
}

#[test]
fn the_forms_that_rules_use_mean_what_prometheus_says() {
    let scrapes = sample_scrapes();
    let ask = |text: &str| {
        let series = scrapes.ask(text).expect("it is known here");
        let one = |(labels, value): Series| {
            let labels: Vec<_> = labels.into_iter().map(|(name, value)| format!("{name}{value}")).collect();
            format!("{}={value}", labels.join(","))
        };
        series.into_iter().map(one).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ask("a"), "x1,yp=400 x1,yq=300 x2,yp=7");
    assert_eq!(ask("a{y=\"p\", x!~\"2|3\"}"), "x1,yp=400");
    assert_eq!(ask("rate(a{y=~\"p\"}[5m])"), "x1,yp=1 x2,yp=0");
    assert_eq!(ask("increase(a{y!=\"p\"}[10m])"), "x1,yq=600");
    assert_eq!(ask("sum(rate(a[5m]))"), "=2");
    assert_eq!(ask("sum by (x) (rate(a[5m])) / sum by (x) (rate(b[5m]))"), "x1=2 x2=NaN");
    assert_eq!(ask("sum by (x) (rate(a[5m])) / sum by (x) (rate(b[5m])) > 1"), "x1=2");
    assert_eq!(ask("sum by (x) (rate(a[5m])) / sum by (x) (rate(b[5m])) > 2"), "");
    assert_eq!(ask("b < 1 and b >= 0"), "x2=0");
    assert_eq!(ask("b > 1 and b < 1"), "");
    assert_eq!(ask("1 - b / (b + b) "), "x1=0.5 x2=NaN");
    assert_eq!(ask("b * 2 == 600"), "x1=600");
    assert_eq!(ask("b != 300"), "x2=0");
    assert_eq!(ask("b <= 0"), "x2=0");
    assert_eq!(ask("a - a"), "x1,yp=0 x1,yq=0 x2,yp=0");
}

#[test]
fn what_is_not_known_is_an_error() {
    let scrapes = sample_scrapes();
    for text in [
        "nothing > 1",
        "a{x=\"3\"}",
        "rate(new[5m])",
        "{x=\"1\"}",
        "rate(a[1m])",
        "a offset 5m",
        "a @ 1",
        "irate(a[5m])",
        "histogram_quantile(0.9, a)",
        "topk(1, a)",
        "max by (x) (a)",
        "sum without (x) (a)",
        "a or b",
        "a unless b",
        "b > bool 1",
        "a + ignoring (y) group_left b",
        "a and on (x) b",
        "b % 2",
        "b ^ 2",
        "-b",
        "1 < b",
        "1 + 1",
        "rate(a[5m:1m])",
        "vector(1)",
        "a +",
    ] {
        assert!(scrapes.ask(text).is_err(), "{text}");
    }
    let falling = self::scrapes("a 2\n", "a 1\n");
    assert!(falling.ask("rate(a[5m])").is_err());
}
