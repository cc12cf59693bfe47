//! `If-Match` and `If-None-Match`, in every spelling.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderName, Method, StatusCode};
use latchwork::web::{IfMatch, IfNoneMatch, Problem, ProblemKind};
use latchwork::{Stamp, versioned::Expect};
use proptest::collection::vec;
use proptest::prelude::*;

use super::server::{Answer, extract, extract_optional, stamp};

/// What is read from a header: what is expected, or the kind of the refusal.
type Read = Result<Expect, ProblemKind>;

fn kind(problem: Problem) -> ProblemKind {
    let kind = problem.kind().expect("it is one of ours");
    assert_eq!(Answer::of(problem).problem(), (kind.status().as_u16(), kind.slug().to_owned()));
    kind
}

fn if_match(lines: &[&[u8]]) -> Read {
    extract::<IfMatch>(Method::PUT, IF_MATCH, lines).map(IfMatch::into_expect).map_err(kind)
}

fn if_none_match(lines: &[&[u8]]) -> Read {
    extract::<IfNoneMatch>(Method::PUT, IF_NONE_MATCH, lines).map(IfNoneMatch::into_expect).map_err(kind)
}

fn one_of<const N: usize>(numbers: [u64; N]) -> Read {
    Ok(Expect::OneOf(numbers.map(stamp).into()))
}

fn none_of<const N: usize>(numbers: [u64; N]) -> Read {
    Ok(Expect::NoneOf(numbers.map(stamp).into()))
}

const BAD: Read = Err(ProblemKind::BadPrecondition);

#[test]
fn a_missing_header_is_asked_for_unless_it_is_optional() {
    assert_eq!(if_match(&[]), Err(ProblemKind::PreconditionRequired));
    assert_eq!(if_none_match(&[]), Err(ProblemKind::PreconditionRequired));
    assert_eq!(extract_optional::<IfMatch>(IF_MATCH, &[]), Ok(None));
    assert_eq!(extract_optional::<IfNoneMatch>(IF_NONE_MATCH, &[]), Ok(None));
}

#[test]
fn an_optional_header_that_is_there_is_read_all_the_same() {
    let seven = extract_optional::<IfMatch>(IF_MATCH, &[b"\"7\""]).expect("it is well-formed");
    assert_eq!(seven.map(IfMatch::into_expect), Some(stamp(7).into()));
    assert_eq!(
        extract_optional::<IfMatch>(IF_MATCH, &[b"7"]).map_err(kind),
        Err(ProblemKind::BadPrecondition)
    );
    let seven = extract_optional::<IfNoneMatch>(IF_NONE_MATCH, &[b"7"]).map_err(kind);
    assert_eq!(seven, Err(ProblemKind::BadPrecondition));
}

#[test]
fn well_formed_headers_are_read_as_documented() {
    let exact = |number| Ok(Expect::Exact(stamp(number)));
    let table: [(&[&[u8]], Read, Read); 27] = [
        (&[b"*"], Ok(Expect::Present), Ok(Expect::Absent)),
        (&[b" \t* "], Ok(Expect::Present), Ok(Expect::Absent)),
        // One of ours.
        (&[b"\"7\""], exact(7), none_of([7])),
        (&[b"\t\"7\"  "], exact(7), none_of([7])),
        (&[b"\"9223372036854775807\""], exact(u64::MAX >> 1), none_of([u64::MAX >> 1])),
        // Several.
        (&[b"\"7\",\"8\""], one_of([7, 8]), none_of([7, 8])),
        (&[b"\"7\" \t,\t \"8\""], one_of([7, 8]), none_of([7, 8])),
        (&[b"\"7\", \"7\""], one_of([7, 7]), none_of([7, 7])),
        (&[b"\"7\"", b"\"8\", \"9\""], one_of([7, 8, 9]), none_of([7, 8, 9])),
        // Empty elements (RFC 9110, section 5.6.1.2).
        (&[b"\"7\", , \"8\""], one_of([7, 8]), none_of([7, 8])),
        (&[b",, \"7\" ,\t,"], exact(7), none_of([7])),
        (&[b"", b"\"7\"", b" ", b","], exact(7), none_of([7])),
        // The examples of sections 13.1.1, 13.1.2 and 8.8.3: none of ours.
        (&[b"\"xyzzy\""], one_of([]), none_of([])),
        (&[b"\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\""], one_of([]), none_of([])),
        (&[b"\"\""], one_of([]), none_of([])),
        (&[b"W/\"xyzzy\""], BAD, none_of([])),
        (&[b"W/\"xyzzy\", W/\"r2d2xxxx\", W/\"c3piozzzz\""], BAD, none_of([])),
        // Others that are none of ours, alone and among ours.
        (&[b"\"07\""], one_of([]), none_of([])),
        (&[b"\"0\", \"+7\", \"9223372036854775808\""], one_of([]), none_of([])),
        (&[b"\"x\", \"7\""], exact(7), none_of([7])),
        // Commas, stars, and what looks like a tag inside of a tag.
        (&[b"\"7,8\""], one_of([]), none_of([])),
        (&[b"\"a,b,*,W/\",\"8\""], exact(8), none_of([8])),
        (&[b"\"*\""], one_of([]), none_of([])),
        (&[b"\"caf\xe9 \""], BAD, BAD),
        (&[b"\"caf\xe9\xff\\\""], one_of([]), none_of([])),
        // Weak.
        (&[b"W/\"7\""], BAD, none_of([7])),
        (&[b"\"7\", W/\"8\""], BAD, none_of([7, 8])),
    ];
    for (lines, strong, weak) in table {
        let shown: Vec<_> = lines.iter().map(|line| line.escape_ascii().to_string()).collect();
        assert_eq!(if_match(lines), strong, "If-Match: {shown:?}");
        assert_eq!(if_none_match(lines), weak, "If-None-Match: {shown:?}");
    }
}

#[test]
fn malformed_headers_are_refused_with_400() {
    let corpus: [&[&[u8]]; 30] = [
        &[b""],
        &[b" \t "],
        &[b", ,"],
        &[b"", b""],
        &[b"7"],
        &[b"xyzzy"],
        &[b"'7'"],
        &[b"\"7"],
        &[b"7\""],
        &[b"\""],
        &[b"\"\"\""],
        &[b"\"7\"\"8\""],
        &[b"\"7\" \"8\""],
        &[b"\"7\"; \"8\""],
        &[b"\"7\"x"],
        &[b"x\"7\""],
        &[b"w/\"7\""],
        &[b"W\"7\""],
        &[b"W/7"],
        &[b"W/ \"7\""],
        &[b"W/*"],
        &[b"W/W/\"7\""],
        &[b"\"7 \""],
        &[b"\"7\t\""],
        &[b"\"7\", *"],
        &[b"*, \"7\""],
        &[b"*,"],
        &[b"*", b"*"],
        &[b"*", b"\"7\""],
        // No tag goes from one line to the next.
        &[b"\"7", b"8\""],
    ];
    for lines in corpus {
        let shown: Vec<_> = lines.iter().map(|line| line.escape_ascii().to_string()).collect();
        assert_eq!(if_match(lines), BAD, "If-Match: {shown:?}");
        assert_eq!(if_none_match(lines), BAD, "If-None-Match: {shown:?}");
    }
}

#[test]
fn huge_headers_are_refused_and_long_ones_are_read() {
    let tags = |count: usize| vec!["\"7\""; count].join(",").into_bytes();
    // Four bytes for each, the end of the line included.
    assert_eq!(if_match(&[&tags(2048)]), Ok(Expect::OneOf([stamp(7); 2048].into())));
    for lines in
        [vec![&tags(2049)[..]], vec![&tags(1024), &tags(1025)], vec![b""; 8193], vec![&[b','; 300_000][..]]]
    {
        assert_eq!(if_match(&lines), BAD);
        assert_eq!(if_none_match(&lines), BAD);
    }
}

#[test]
fn a_refusal_does_not_repeat_what_was_sent() {
    for line in [&b"secret"[..], b"W/\"secret\"", b"\"secret\" secret"] {
        let problem = extract::<IfMatch>(Method::PUT, IF_MATCH, &[line]).expect_err("it is bad");
        let answer = Answer::of(problem);
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(!format!("{answer:?}").contains("secret"), "{answer:?}");
    }
}

#[test]
fn a_tag_that_a_proxy_changed_when_it_compressed_is_explained_to_a_write() {
    let changed: [&[&[u8]]; 18] = [
        &[b"\"7-gzip\""],
        &[b"\"7--gzip\""],
        &[b"\"7;gzip\""],
        &[b"\"7-br\""],
        &[b"\"7-zstd\""],
        &[b"\"7-deflate\""],
        &[b"\"7-GZIP\""],
        &[b"\"9223372036854775807-gzip\""],
        &[b"\"7\", \"8-gzip\""],
        &[b"\"x\"", b"\"7--br\" ,"],
        &[b"\"7-x-gzip\""],
        &[b"\"7-df\""],
        &[b"\"7-gzip-gzip\""],
        &[b"\"7;gz\""],
        &[b"\"7.br\""],
        &[b"\"7_-zstd:dcb\""],
        &[b"\"7-gzip2\""],
        &[b"\"7-abcdefghijklmnop\""],
    ];
    let why = |problem: Problem| problem.detail().map(str::to_owned).expect("it explains itself");
    for lines in changed {
        let shown: Vec<_> = lines.iter().map(|line| line.escape_ascii().to_string()).collect();
        assert_eq!((if_match(lines), if_none_match(lines)), (BAD, BAD), "{shown:?}");
        let refused = extract::<IfMatch>(Method::PUT, IF_MATCH, lines).map_err(why);
        let words =
            "a proxy changed the entity tag when it compressed the answer: send it without its suffix";
        assert_eq!(refused, Err(format!("If-Match: {words}")), "{shown:?}");
        let refused = extract::<IfNoneMatch>(Method::DELETE, IF_NONE_MATCH, lines).map_err(why);
        assert_eq!(refused, Err(format!("If-None-Match: {words}")), "{shown:?}");
    }
    // Weak comparison does not make it one of ours.
    assert_eq!((if_match(&[b"W/\"7-gzip\""]), if_none_match(&[b"W/\"7-gzip\""])), (BAD, BAD));
    for foreign in [
        "7gzip",
        "07-gzip",
        "0-gzip",
        "-gzip",
        "7---gzip",
        "7-",
        "7--",
        "7-2",
        "7.5",
        "7-2gzip",
        "7+gzip",
        "7-gz+x",
        "x-gzip",
        "7-abcdefghijklmnopq",
        "9223372036854775808-gzip",
    ] {
        let line = format!("\"{foreign}\"");
        assert_eq!(if_match(&[line.as_bytes()]), one_of([]), "{line}");
        assert_eq!(if_none_match(&[line.as_bytes()]), none_of([]), "{line}");
    }
}

#[test]
fn a_read_knows_its_versions_by_weak_comparison() {
    let known = |lines: &[&[u8]]| {
        extract::<IfNoneMatch>(Method::GET, IF_NONE_MATCH, lines).map(|known| known.matches(stamp(7)))
    };
    assert_eq!(known(&[b"\"7\""]), Ok(true));
    assert_eq!(known(&[b"W/\"7\""]), Ok(true));
    assert_eq!(known(&[b"\"6\"", b"W/\"7\", \"x\""]), Ok(true));
    assert_eq!(known(&[b"*"]), Ok(true));
    assert_eq!(known(&[b"\"6\", \"07\", \"x\""]), Ok(false));
    // The client has the compressed answer, and the service does not: it gets the whole one again.
    assert_eq!(known(&[b"\"7-gzip\""]), Ok(false));
    assert_eq!(known(&[b"\"7-gzip\", \"7\""]), Ok(true));
}

/// An element of a list, as it may be spelled.
#[derive(Clone, Debug)]
enum Element {
    Empty,
    Stamp(Stamp),
    Weak(Stamp),
    Foreign(Vec<u8>),
}

impl Element {
    fn written(&self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Stamp(stamp) => stamp.etag().into_bytes(),
            Self::Weak(stamp) => format!("W/{}", stamp.etag()).into_bytes(),
            Self::Foreign(opaque) => [b"\"", &opaque[..], b"\""].concat(),
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Stamp(stamp) | Self::Weak(stamp) => Some(*stamp),
            Self::Empty | Self::Foreign(_) => None,
        }
    }
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    prop_oneof![1..20_u64, 1..=Stamp::MAX.get()].prop_map(stamp)
}

fn element(is_weak: bool) -> impl Strategy<Value = Element> {
    let opaque = vec(prop_oneof![Just(b','), Just(b'0'), Just(b'7'), 0x21..=0x7e_u8, 0x80..=0xff_u8], 0..6)
        .prop_map(|opaque| opaque.into_iter().filter(|byte| *byte != b'"').collect::<Vec<_>>())
        .prop_filter("a stamp, or one that was changed", |opaque| {
            let text = std::str::from_utf8(opaque);
            !text.is_ok_and(|text| text.parse::<Stamp>().is_ok() || is_changed(text))
        });
    prop_oneof![
        2 => Just(Element::Empty),
        5 => any_stamp().prop_map(Element::Stamp),
        if is_weak { 3 } else { 0 } => any_stamp().prop_map(Element::Weak),
        2 => opaque.prop_map(Element::Foreign),
    ]
}

/// Elements with what is around them, and whether a new line begins after them.
fn list(is_weak: bool) -> impl Strategy<Value = Vec<(Element, [String; 2], bool)>> {
    let space = || "[ \t]{0,3}";
    let written = (element(is_weak), [space(), space()], prop::bool::weighted(0.2));
    vec(written, 1..12).prop_filter("it names nothing", |list| {
        list.iter().any(|(element, ..)| !matches!(element, Element::Empty))
    })
}

fn spell(list: &[(Element, [String; 2], bool)]) -> Vec<Vec<u8>> {
    let (mut lines, mut begins) = (Vec::<Vec<u8>>::new(), true);
    for (element, [before, after], ends) in list {
        let written = [before.as_bytes(), &element.written(), after.as_bytes()].concat();
        match lines.last_mut() {
            Some(line) if !begins => line.extend([b",", &written[..]].concat()),
            _ => lines.push(written),
        }
        begins = *ends;
    }
    lines
}

fn borrowed(lines: &[Vec<u8>]) -> Vec<&[u8]> {
    lines.iter().map(Vec::as_slice).collect()
}

/// Reads a header by splitting first and judging afterwards, as the grammar is written.
fn reference(lines: &[Vec<u8>], name: &HeaderName) -> Read {
    // Joined as in RFC 9110, section 5.3.
    let text: Vec<char> = lines.join(&b", "[..]).into_iter().map(char::from).collect();
    let text: String = text.into_iter().collect();
    let is_ows = |c: char| c == ' ' || c == '\t';
    if text.trim_matches(is_ows) == "*" {
        return Ok(if name == IF_MATCH { Expect::Present } else { Expect::Absent });
    }
    let mut is_quoted = false;
    let elements = text.split(|c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    let (mut stamps, mut count, mut is_any_changed) = (Vec::new(), 0, false);
    for element in elements.map(|element| element.trim_matches(is_ows)).filter(|element| !element.is_empty())
    {
        let strong = element.strip_prefix("W/").unwrap_or(element);
        let opaque: Vec<&str> = strong.split('"').collect();
        let ["", opaque, ""] = opaque[..] else { return BAD };
        if opaque.chars().any(|c| c <= ' ' || c == '\u{7f}') || (strong != element && name == IF_MATCH) {
            return BAD;
        }
        if is_changed(opaque) {
            // Both headers are those of a write here.
            is_any_changed = true;
        }
        count += 1;
        stamps.extend(opaque.parse::<Stamp>());
    }
    match (count, stamps.len()) {
        (0, _) => BAD,
        _ if is_any_changed => BAD,
        (_, 1) if name == IF_MATCH => Ok(Expect::Exact(stamps[0])),
        _ if name == IF_MATCH => Ok(Expect::OneOf(stamps.into())),
        _ => Ok(Expect::NoneOf(stamps.into())),
    }
}

/// Returns `true` if there is a way to cut the text into a stamp, one or two marks, and a short word.
fn is_changed(opaque: &str) -> bool {
    let is_mark = |char: char| "-;:_.".contains(char);
    let is_word = |word: &str| {
        let mut chars = word.chars();
        word.len() <= 16
            && chars.next().is_some_and(|char| char.is_ascii_alphabetic())
            && chars.all(|char| is_mark(char) || char.is_ascii_alphanumeric())
    };
    let cuts = || (0..=opaque.len()).filter(|at| opaque.is_char_boundary(*at));
    cuts().any(|first| {
        cuts().filter(|second| (first + 1..=first + 2).contains(second)).any(|second| {
            opaque[..first].parse::<Stamp>().is_ok()
                && opaque[first..second].chars().all(is_mark)
                && is_word(&opaque[second..])
        })
    })
}

/// What a proxy makes of a tag when it compresses.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let words = &["gzip", "br", "zstd", "df", "GZIP", "gzip-gzip", "a-b.c;d:e_f78-"][..];
    let marks = &["-", "--", ";", ":", "_", ".", ".;"][..];
    with_suffix(marks, words)
}

/// What looks like it, and is a tag of another kind for the most part.
fn almost_changed() -> impl Strategy<Value = Vec<u8>> {
    with_suffix(&["", "-", "+", "---", "-é"], &["", "gzip", "7z", "-gzip", "gz/ip", "longer-than-words"])
}

fn with_suffix(
    marks: &'static [&'static str],
    words: &'static [&'static str],
) -> impl Strategy<Value = Vec<u8>> {
    (any_stamp(), prop::sample::select(marks), prop::sample::select(words))
        .prop_map(|(stamp, mark, word)| format!("{stamp}{mark}{word}").into_bytes())
}

/// What HTTP lets through in a header, for the most part what means something in this one.
fn byte() -> impl Strategy<Value = u8> {
    let special = prop::sample::select(&b"\"\"\"\",,,  \t*W/0178x"[..]);
    prop_oneof![8 => special, 1 => 0x20..=0x7e_u8, 1 => 0x80..=0xff_u8]
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let suffix = prop::sample::select(&["-gzip", "--br\"", ";zstd\",", "-x-gzip\""][..]);
    let part = prop_oneof![
        12 => byte().prop_map(|byte| vec![byte]),
        1 => suffix.prop_map(|text| text.as_bytes().to_vec()),
        1 => changed().prop_map(|opaque| [b"\"", &opaque[..], b"\""].concat()),
        1 => almost_changed().prop_map(|opaque| [b"\"", &opaque[..], b"\""].concat()),
    ];
    vec(vec(part, 0..16).prop_map(|parts| parts.concat()), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stamps_in_any_legal_spelling_of_if_match_are_the_same_expectation(list in list(false)) {
        let stamps: Box<[Stamp]> = list.iter().filter_map(|(element, ..)| element.stamp()).collect();
        let expect = if let [stamp] = *stamps { Expect::Exact(stamp) } else { Expect::OneOf(stamps) };
        prop_assert_eq!(if_match(&borrowed(&spell(&list))), Ok(expect));
    }

    #[test]
    fn stamps_in_any_legal_spelling_of_if_none_match_are_the_same_expectation(list in list(true)) {
        let stamps = list.iter().filter_map(|(element, ..)| element.stamp()).collect();
        prop_assert_eq!(if_none_match(&borrowed(&spell(&list))), Ok(Expect::NoneOf(stamps)));
    }

    #[test]
    fn one_changed_tag_among_others_is_refused_for_a_write_and_matches_nothing_for_a_read(
        list in list(true),
        opaque in changed(),
        at in any::<prop::sample::Index>(),
    ) {
        let stamps: Box<[Stamp]> = list.iter().filter_map(|(element, ..)| element.stamp()).collect();
        let mut list = list;
        let at = at.index(list.len() + 1);
        list.insert(at, (Element::Foreign(opaque), [String::new(), String::new()], false));
        let lines = spell(&list);
        prop_assert_eq!(if_match(&borrowed(&lines)), BAD);
        prop_assert_eq!(if_none_match(&borrowed(&lines)), BAD);
        let read = extract::<IfNoneMatch>(Method::GET, IF_NONE_MATCH, &borrowed(&lines));
        prop_assert_eq!(read.map(IfNoneMatch::into_expect), Ok(Expect::NoneOf(stamps)));
    }

    #[test]
    fn arbitrary_lines_are_read_as_the_grammar_says_or_refused(lines in lines()) {
        prop_assert_eq!(if_match(&borrowed(&lines)), reference(&lines, &IF_MATCH));
        prop_assert_eq!(if_none_match(&borrowed(&lines)), reference(&lines, &IF_NONE_MATCH));
    }
}
