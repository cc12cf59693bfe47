//! The table of the guide on logging, and the events that the sources emit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

const GUIDE: &str = include_str!("../../../src/docs/logging.md");
const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];

/// The levels and the fields of an event.
#[derive(Default, PartialEq, Eq, Debug)]
struct Shape {
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
}

/// What stands between backticks.
fn codes(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// By message.
fn documented() -> BTreeMap<String, Shape> {
    let (_, section) = GUIDE.split_once("\n# Events\n").expect("the guide has this section");
    let section = section.split("\n# ").next().expect("there is a first part");
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let event = |row: &str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, level, _, fields, _] = cells[..] else { panic!("five columns: {row}") };
        let words = level.split(|c: char| !c.is_alphabetic());
        let levels = words.filter(|word| LEVELS.contains(word)).map(str::to_owned).collect();
        (name.trim_matches('`').to_owned(), Shape { levels, fields: codes(fields) })
    };
    rows.map(event).collect()
}

/// The parts of a macro call's arguments, from behind its parenthesis on.
fn arguments(text: &str) -> Vec<String> {
    let (mut parts, mut depth, mut in_text) = (vec![String::new()], 0, false);
    for c in text.chars() {
        match c {
            '"' => in_text = !in_text,
            '(' | '{' | '[' if !in_text => depth += 1,
            ')' | '}' | ']' if !in_text => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            break;
        }
        match c {
            ',' if depth == 0 && !in_text => parts.push(String::new()),
            _ => parts.last_mut().expect("there is one").push(c),
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Adds the events that a source emits.
fn emitted(source: &str, found: &mut BTreeMap<String, Shape>) {
    let calls = LEVELS.map(|level| (format!("tracing::{level}!("), vec![level]));
    let calls = calls.into_iter().chain([("info_or_debug!(".to_owned(), vec!["info", "debug"])]);
    for (call, levels) in calls {
        for (at, _) in source.match_indices(&call) {
            let parts = arguments(&source[at + call.len()..]);
            let Some(message) = parts.last().and_then(|last| last.split('"').nth(1)) else { continue };
            // A text that goes on in the next line.
            let message = message.split("\\\n").map(str::trim_start).collect::<String>();
            let shape = found.entry(message).or_default();
            shape.levels.extend(levels.iter().map(|level| (*level).to_owned()));
            for part in &parts[..parts.len() - 1] {
                let name = part.trim_start_matches(['%', '?']).split([' ', '=', ':', '.']).next();
                let name = name.expect("there is a first part");
                if !["target", "was_reported", "waited"].contains(&name) {
                    shape.fields.insert(name.to_owned());
                }
            }
        }
    }
}

fn read(dir: &Path, found: &mut BTreeMap<String, Shape>) {
    for entry in fs::read_dir(dir).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            read(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            emitted(&fs::read_to_string(path).expect("it is text"), found);
        }
    }
}

#[test]
fn the_guide_names_each_event_with_its_levels_and_fields_and_no_other() {
    let root = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut found = BTreeMap::new();
    read(&Path::new(&root).join("src"), &mut found);
    let documented = documented();
    let names = |events: &BTreeMap<String, Shape>| events.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&documented), names(&found));
    for (name, shape) in &documented {
        assert_eq!(shape, &found[name], "{name}");
    }
}
