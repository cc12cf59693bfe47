//! House rules that a program can check: the words of public texts, the length of sentences, the order of headings.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The most words that a sentence may have.
const LONGEST: usize = 25;

/// Headings of a public item's docs, in the order in which they stand.
const HEADINGS: [&str; 6] = ["Fairness", "Errors", "Panics", "Cancel safety", "Deadlock", "Examples"];

/// Words that read as translated, or that only this crate would use, with better ones.
const WORDS: [(&str, &str); 16] = [
    ("whoever", "the caller, the waiter"),
    ("who", "a noun: the request that, the task that"),
    ("whom", "a noun"),
    ("is had", "is acquired"),
    ("was had", "was acquired"),
    ("not had", "not acquired"),
    ("comes to", "returns, becomes"),
    ("come to", "return, become"),
    ("somebody", "a noun: a caller, a waiter"),
    ("everybody", "all callers, all waiters"),
    ("is to be", "must be"),
    ("are to be", "must be"),
    ("so many", "this number of"),
    ("is told", "is notified, learns"),
    ("are told", "are notified, learn"),
    ("was told", "was notified, was set to"),
];

/// One paragraph, list item or table cell of a text, with the line on which it begins.
struct Paragraph {
    line: usize,
    text: String,
}

/// The docs of one item, or a guide.
struct Page {
    /// The first line of the item itself, if it is code.
    item: String,
    paragraphs: Vec<Paragraph>,
    headings: Vec<(usize, String)>,
}

fn root() -> PathBuf {
    PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()))
}

fn files(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|own| own == ending) {
            found.push(path);
        }
    }
}

/// Reads Markdown: code blocks and link targets are left out.
fn page(lines: impl Iterator<Item = (usize, String)>, item: String) -> Page {
    let mut page = Page { item, paragraphs: Vec::new(), headings: Vec::new() };
    let (mut open, mut in_code) = (None::<Paragraph>, false);
    for (number, line) in lines {
        let text = line.trim();
        if text.starts_with("```") {
            in_code = !in_code;
        }
        let begins_anew = ["```", "- ", "* ", "#", "|"].iter().any(|mark| text.starts_with(mark))
            || text.split_once(". ").is_some_and(|(mark, _)| mark.parse::<u8>().is_ok());
        if in_code || text.is_empty() || begins_anew {
            page.paragraphs.extend(open.take());
        }
        if in_code || text.is_empty() || text.starts_with("```") || is_link_target(text) {
            continue;
        }
        if let Some(heading) = text.strip_prefix('#') {
            page.headings.push((number, heading.trim_start_matches('#').trim().to_owned()));
        } else if text.starts_with('|') {
            for cell in text.split('|') {
                page.paragraphs.push(Paragraph { line: number, text: cell.trim().to_owned() });
            }
        } else {
            let open = open.get_or_insert(Paragraph { line: number, text: String::new() });
            open.text += text.trim_start_matches(['-', '*', ' ']);
            open.text.push(' ');
        }
    }
    page.paragraphs.extend(open);
    page
}

fn is_link_target(text: &str) -> bool {
    text.starts_with('[') && text.contains("]: ")
}

/// The documentation in a source file: of the file itself, and of each item.
fn docs(source: &str) -> Vec<Page> {
    let mut pages = Vec::new();
    let own = source.lines().enumerate().filter_map(|(at, line)| Some((at + 1, doc(line, "//!")?)));
    pages.push(page(own, String::new()));
    let mut block: Vec<(usize, String)> = Vec::new();
    for (at, line) in source.lines().enumerate() {
        match doc(line, "///") {
            Some(text) => block.push((at + 1, text)),
            None if line.trim_start().starts_with("#[") || block.is_empty() => {}
            None => pages.push(page(block.drain(..), line.trim().to_owned())),
        }
    }
    pages
}

fn doc(line: &str, mark: &str) -> Option<String> {
    line.trim_start().strip_prefix(mark).map(str::to_owned)
}

/// A text without code and link targets; what was code is one word.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.split('`').enumerate() {
        out.push_str(if at % 2 == 1 { "Code" } else { part });
    }
    let mut rest = out.as_str();
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once("](") {
        plain += before;
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    plain += rest;
    plain.replace(['[', ']', '*', '('], " ")
}

/// The sentences of a paragraph.
fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut sentence: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        sentence.push(word);
        let end = word.trim_end_matches([')', '"']);
        if end.ends_with(['.', '!', '?', ':', ';']) && !["e.g.", "i.e.", "etc."].contains(&end) {
            found.push(std::mem::take(&mut sentence).join(" "));
        }
    }
    found.push(sentence.join(" "));
    found
}

fn words(sentence: &str) -> usize {
    sentence.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

fn contains_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        [before, after].iter().all(|near| near.is_none_or(|near| !near.is_alphanumeric()))
    })
}

/// What is wrong with a page.
fn faults(path: &str, page: &Page) -> Vec<String> {
    let mut faults = Vec::new();
    for Paragraph { line, text } in &page.paragraphs {
        let text = plain(text);
        for sentence in sentences(&text) {
            let lower = sentence.to_lowercase();
            for (word, better) in WORDS {
                if contains_word(&lower, word) {
                    faults.push(format!("{path}:{line}: \"{word}\" ({better}): {sentence}"));
                }
            }
            let long = words(&sentence);
            if long > LONGEST {
                faults.push(format!("{path}:{line}: {long} words: {sentence}"));
            }
        }
    }
    let is_function =
        ["pub fn", "pub const fn", "pub async fn"].iter().any(|start| page.item.starts_with(start));
    if is_function && let Some(Paragraph { line, text }) = page.paragraphs.first() {
        let first = text.split_whitespace().next().unwrap_or("");
        if !first.ends_with('s') || ["As", "This", "Its", "Whether"].contains(&first) {
            faults.push(format!("{path}:{line}: begins with \"{first}\", not with a verb: {text}"));
        }
    }
    if !page.item.is_empty() {
        let known: Vec<_> =
            page.headings.iter().filter_map(|(_, own)| HEADINGS.iter().position(|all| all == own)).collect();
        if !known.is_sorted() {
            faults.push(format!("{path}:{}: headings not in the order {HEADINGS:?}", page.headings[0].0));
        }
    }
    faults
}

#[test]
fn public_texts_are_plain_english() {
    let root = root();
    let (mut sources, mut guides) = (Vec::new(), vec![root.join("README.md"), root.join("CONTRIBUTING.md")]);
    files(&root.join("src"), "rs", &mut sources);
    files(&root.join("src/docs"), "md", &mut guides);
    let mut faults = Vec::new();
    let mut pages_seen = 0;
    for path in sources.iter().chain(&guides) {
        let text = fs::read_to_string(path).expect("it is text");
        let shown = path.strip_prefix(&root).unwrap_or(path).display().to_string();
        let pages = match path.extension() {
            Some(ending) if ending == "rs" => docs(&text),
            _ => vec![page(
                text.lines().enumerate().map(|(at, line)| (at + 1, line.to_owned())),
                String::new(),
            )],
        };
        for page in pages {
            pages_seen += 1;
            faults.extend(self::faults(&shown, &page));
        }
    }
    assert!(pages_seen > 500, "{pages_seen} pages: the sources were not found");
    let list = faults.iter().fold(String::new(), |mut list, fault| {
        let _ = writeln!(list, "{fault}");
        list
    });
    assert!(faults.is_empty(), "{} faults:\n{list}", faults.len());
}

#[test]
fn the_rules_find_what_they_are_there_for() {
    let long = "one ".repeat(LONGEST + 1);
    let source = format!(
        "//! Whoever waits.\n\n/// {long}.\n///\n/// # Examples\n///\n/// # Errors\npub fn held() {{}}\n\n\
         /// It is had [by `f`](x) at once.\nstruct S;\n"
    );
    let faults: Vec<_> = docs(&source).iter().flat_map(|page| faults("x.rs", page)).collect();
    for expected in ["whoever", "26 words", "begins with", "headings", "is had"] {
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:#?}");
    }
    assert_eq!(faults.len(), 5, "{faults:#?}");
}
