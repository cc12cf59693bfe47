//! Stamps and fences as text, entity tags and in messages; and where stamps come from.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use latchwork::{
    Fence, Stamp,
    error::BadNumber,
    fence::ParseFenceError,
    stamp::{BadEtag, ParseStampError, StampOutOfRange, StampSource},
};
use proptest::prelude::*;

const MAX: u64 = i64::MAX as u64;

fn stamp(number: u64) -> Stamp {
    Stamp::new(number).expect("it is in range")
}

#[test]
fn only_one_text_is_a_number() {
    use BadNumber::{Empty, LeadingZero, NotADigit, Sign, Space, TooLarge, Zero};
    let corpus = [
        ("", Empty),
        ("+7", Sign),
        ("-7", Sign),
        ("-", Sign),
        ("+", Sign),
        (" 7", Space),
        ("7 ", Space),
        (" ", Space),
        ("7\n", Space),
        ("\t7", Space),
        ("1 000", Space),
        ("7\u{a0}", Space),
        ("+ 7", Space),
        ("0", Zero),
        ("00", LeadingZero),
        ("07", LeadingZero),
        ("000000000000000000000000000000", LeadingZero),
        ("7.0", NotADigit),
        ("1e3", NotADigit),
        ("0x10", NotADigit),
        ("1_000", NotADigit),
        ("1,000", NotADigit),
        ("seven", NotADigit),
        ("٧", NotADigit),
        ("７", NotADigit),
        ("7\0", NotADigit),
        ("7-", NotADigit),
        ("\"7\"", NotADigit),
        ("18446744073709551616", TooLarge),
        ("99999999999999999999999999999999999999999", TooLarge),
    ];
    for (text, why) in corpus {
        let of_stamp = text.parse::<Stamp>().expect_err(text);
        let of_fence = text.parse::<Fence>().expect_err(text);
        assert_eq!((of_stamp.why, of_fence.why), (why, why), "{text:?}");
    }
}

#[test]
fn stamps_end_where_signed_columns_do_and_fences_go_on() {
    assert_eq!("9223372036854775807".parse(), Ok(Stamp::MAX));
    let beyond = "9223372036854775808";
    assert_eq!(beyond.parse::<Stamp>().map_err(|error| error.why), Err(BadNumber::TooLarge));
    assert_eq!(beyond.parse(), Ok(Fence::new(1 << 63).expect("it is not zero")));
    assert_eq!(u64::MAX.to_string().parse(), Ok(Fence::new(u64::MAX).expect("it is not zero")));
    assert_eq!((Stamp::new(MAX), Stamp::new(MAX + 1)), (Some(Stamp::MAX), None));
    assert_eq!((Stamp::try_from(0_u64), Stamp::try_from(MAX)), (Stamp::try_from(-1_i64), Ok(Stamp::MAX)));
    assert_eq!(
        Stamp::try_from(i64::MIN),
        Err::<Stamp, StampOutOfRange>(Stamp::try_from(0_i64).expect_err("it is refused"))
    );
    assert_eq!((Stamp::MIN.as_i64(), Stamp::MAX.as_i64()), (1, i64::MAX));
}

#[test]
fn errors_say_what_is_wrong_in_words() {
    let texts: Vec<String> = ["", "+7", "7 ", "x", "07", "0", "9223372036854775808"]
        .map(|text| text.parse::<Stamp>().expect_err(text).to_string())
        .into();
    assert_eq!(
        texts,
        [
            "not a stamp: it is empty",
            "not a stamp: it has a sign",
            "not a stamp: it has white space",
            "not a stamp: it has a character that is not a digit",
            "not a stamp: it has a leading zero",
            "not a stamp: it is zero",
            "not a stamp: it is too large",
        ]
    );
    let fence: ParseFenceError = "0".parse::<Fence>().expect_err("it is refused");
    assert_eq!(fence.to_string(), "not a fence: it is zero");
}

#[test]
fn only_one_strong_entity_tag_is_that_of_a_stamp() {
    let corpus = [
        ("", BadEtag::Unquoted),
        ("7", BadEtag::Unquoted),
        ("\"", BadEtag::Unquoted),
        ("\"7", BadEtag::Unquoted),
        ("7\"", BadEtag::Unquoted),
        ("'7'", BadEtag::Unquoted),
        (" \"7\"", BadEtag::Unquoted),
        ("\"7\" ", BadEtag::Unquoted),
        ("W/7", BadEtag::Unquoted),
        ("W/", BadEtag::Unquoted),
        ("w/\"7\"", BadEtag::Unquoted),
        ("W/\"7\"", BadEtag::Weak),
        ("W/\"abc\"", BadEtag::Weak),
        ("*", BadEtag::Any),
        ("\"7\", \"8\"", BadEtag::Many),
        ("\"7\",\"8\"", BadEtag::Many),
        ("W/\"7\", \"8\"", BadEtag::Many),
        ("\"7\"\"", BadEtag::Many),
    ];
    for (tag, error) in corpus {
        assert_eq!(Stamp::from_etag(tag), Err(error), "{tag:?}");
    }
    for (tag, why) in
        [("\"\"", BadNumber::Empty), ("\"07\"", BadNumber::LeadingZero), ("\"*\"", BadNumber::NotADigit)]
    {
        let error = Stamp::from_etag(tag).expect_err(tag);
        assert!(matches!(error, BadEtag::NotAStamp(ParseStampError { why: found, .. }) if found == why));
        let source = std::error::Error::source(&error).expect("the number is at fault");
        assert!(source.to_string().starts_with("not a stamp: "));
    }
}

#[test]
fn a_source_counts_up_and_stops_at_the_end() {
    let source = StampSource::new();
    assert_eq!((source.latest(), source.next()), (None, Ok(Stamp::MIN)));
    source.observe(stamp(7)).expect("it is plausible");
    source.observe(stamp(5)).expect("it is plausible");
    assert_eq!((source.next(), source.latest()), (Ok(stamp(8)), Some(stamp(8))));
    let source = StampSource::after(stamp(MAX - 1));
    assert_eq!((source.next(), source.latest()), (Ok(Stamp::MAX), Some(Stamp::MAX)));
    for _ in 0..3 {
        assert_eq!(source.next().expect_err("it never wraps").to_string(), "no stamps are left");
        assert_eq!(source.latest(), Some(Stamp::MAX));
    }
}

#[test]
fn a_source_observes_no_stamp_that_would_leave_too_few() {
    let limit = StampSource::MAX_OBSERVED.get();
    let source = StampSource::new();
    for damaged in [limit + 1, MAX - 1, MAX] {
        let refused = source.observe(stamp(damaged)).expect_err("it is damaged");
        assert_eq!((refused.stamp, source.latest()), (stamp(damaged), None));
        assert_eq!(refused.to_string(), format!("stamp {damaged} leaves too few stamps for later writes"));
    }
    assert_eq!((source.observe(stamp(limit)), source.next()), (Ok(()), Ok(stamp(limit + 1))));
    // A source that is there already loses nothing.
    let late = StampSource::after(stamp(MAX - 5));
    assert!(late.observe(stamp(MAX - 5)).is_ok() && late.observe(stamp(MAX - 4)).is_err());
    assert_eq!(late.next(), Ok(stamp(MAX - 4)));
}

#[test]
fn numbers_of_signed_columns_are_converted_both_ways() {
    assert_eq!((i64::from(Stamp::MAX), u64::from(Stamp::MAX)), (i64::MAX, MAX));
    assert_eq!((Stamp::try_from(i64::MAX), Stamp::try_from(-1_i64).is_err()), (Ok(Stamp::MAX), true));
    let fence = |number| Fence::new(number).expect("it is not zero");
    assert_eq!((Fence::try_from(7_i64), u64::from(fence(7))), (Ok(fence(7)), 7));
    assert!([0, -1, i64::MIN].iter().all(|number| Fence::try_from(*number).is_err()));
    assert_eq!((i64::try_from(fence(MAX)), i64::try_from(fence(MAX + 1)).is_err()), (Ok(i64::MAX), true));
}

#[test]
fn a_tag_that_a_proxy_changed_when_it_compressed_is_told_apart() {
    for tag in [
        r#""7-gzip""#,
        r#""7--gzip""#,
        r#""7;gzip""#,
        r#""7-br""#,
        r#""7:DEFLATE""#,
        r#""7-df""#,
        r#""7-gzip-gzip""#,
        r#""7;gz""#,
    ] {
        assert_eq!(Stamp::from_etag(tag), Err(BadEtag::Suffixed), "{tag}");
    }
    for tag in
        [r#""7gzip""#, r#""07-gzip""#, r#""-gzip""#, r#""7---gzip""#, r#""7-""#, r#""7.5""#, r#""x-gzip""#]
    {
        assert!(matches!(Stamp::from_etag(tag), Err(BadEtag::NotAStamp(_))), "{tag}");
    }
}

#[test]
fn a_source_that_starts_later_by_the_clock_repeats_nothing() {
    let old = StampSource::from_clock();
    let last = (0..3).map(|_| old.next().expect("stamps are left").get()).last().expect("it drew three");
    let micros = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    crate::support::until(|| micros() >= u128::from(last));
    assert!(StampSource::from_clock().next().is_ok_and(|first| first.get() > last));
}

/// They begin together, and go on until they have met each other: between two stamps that a thread drew one after the
/// other, without pause, another one drew.
#[test]
fn threads_that_draw_from_one_source_never_draw_the_same() {
    // On one processor they meet where one of them is interrupted.
    const MEETINGS: usize = 100;
    let (source, start, met) = (StampSource::new(), Barrier::new(3), AtomicUsize::new(0));
    let draw = || {
        let mut drawn: Vec<u64> = Vec::new();
        start.wait();
        while met.load(Ordering::Relaxed) < MEETINGS {
            let batch = [(); 64].map(|()| source.next().expect("stamps are left").get());
            met.fetch_add(batch.windows(2).filter(|pair| pair[1] != pair[0] + 1).count(), Ordering::Relaxed);
            drawn.extend(batch);
        }
        drawn
    };
    let mut drawn: Vec<u64> = thread::scope(|scope| {
        let threads = [(); 3].map(|()| scope.spawn(draw));
        threads.into_iter().flat_map(|thread| thread.join().expect("it does not panic")).collect()
    });
    drawn.sort_unstable();
    let many = drawn.len() as u64;
    assert!(drawn.into_iter().eq(1..=many), "a stamp was drawn twice, or never");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(number in prop_oneof![1..100_u64, 1..=MAX, MAX - 9..=MAX]) {
        let stamp = stamp(number);
        prop_assert_eq!(stamp.to_string().parse(), Ok(stamp));
        prop_assert_eq!(Stamp::from_etag(&stamp.etag()), Ok(stamp));
        prop_assert_eq!(Stamp::try_from(stamp.as_i64()), Ok(stamp));
        let fence = Fence::new(number.rotate_left(7)).expect("it is not zero");
        prop_assert_eq!(fence.to_string().parse(), Ok(fence));
    }

    #[test]
    fn a_text_that_is_read_is_the_one_that_would_be_written(text in "[+\\- 0-9a\"W/*]{0,20}") {
        if let Ok(stamp) = text.parse::<Stamp>() {
            prop_assert_eq!(stamp.to_string(), text.clone());
        }
        if let Ok(stamp) = Stamp::from_etag(&text) {
            prop_assert_eq!(stamp.etag(), text);
        }
    }
}

#[cfg(feature = "serde")]
mod messages {
    use super::*;
    use serde_test::{Configure, Token, assert_de_tokens, assert_de_tokens_error, assert_tokens};

    #[test]
    fn people_read_strings_and_may_write_numbers() {
        assert_tokens(&stamp(7).readable(), &[Token::Str("7")]);
        for token in [Token::String("7"), Token::BorrowedStr("7"), Token::U64(7), Token::I64(7), Token::U8(7)]
        {
            assert_de_tokens(&stamp(7).readable(), &[token]);
        }
        let fence = Fence::new(u64::MAX).expect("it is not zero");
        assert_tokens(&fence.readable(), &[Token::Str("18446744073709551615")]);
        assert_de_tokens(&fence.readable(), &[Token::U64(u64::MAX)]);
    }

    #[test]
    fn binary_formats_have_numbers() {
        assert_tokens(&stamp(7).compact(), &[Token::U64(7)]);
        assert_tokens(&Fence::new(7).expect("it is not zero").compact(), &[Token::U64(7)]);
    }

    #[test]
    fn messages_are_as_strict_as_texts() {
        type Readable = serde_test::Readable<Stamp>;
        let expected = "expected a stamp, from 1 to 9223372036854775807";
        let refused = |token: Token, why: &str| assert_de_tokens_error::<Readable>(&[token], why);
        refused(Token::Str("07"), "not a stamp: it has a leading zero");
        refused(Token::Str("0"), "not a stamp: it is zero");
        refused(Token::U64(0), &format!("invalid value: integer `0`, {expected}"));
        refused(Token::I64(-7), &format!("invalid value: integer `-7`, {expected}"));
        refused(Token::U64(1 << 63), &format!("invalid value: integer `9223372036854775808`, {expected}"));
        refused(Token::F64(7.0), &format!("invalid type: floating point `7.0`, {expected}"));
        refused(Token::Bool(true), &format!("invalid type: boolean `true`, {expected}"));
        refused(Token::None, &format!("invalid type: Option value, {expected}"));
        type Compact = serde_test::Compact<Stamp>;
        assert_de_tokens_error::<Compact>(
            &[Token::U64(0)],
            &format!("invalid value: integer `0`, {expected}"),
        );
    }

    #[test]
    fn json_keeps_every_digit() {
        #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
        struct Card {
            version: Stamp,
        }
        let card = Card { version: Stamp::MAX };
        let json = serde_json::to_string(&card).expect("it can be written");
        assert_eq!(json, r#"{"version":"9223372036854775807"}"#);
        assert_eq!(serde_json::from_str::<Card>(&json).ok(), Some(card));
        let number = serde_json::from_str::<Card>(r#"{"version":7}"#).map(|card| card.version);
        assert_eq!(number.ok(), Some(stamp(7)));
        assert!(serde_json::from_str::<Card>(r#"{"version":7.5}"#).is_err());
        assert!(serde_json::from_str::<Card>(r#"{"version":99999999999999999999}"#).is_err());
    }

    /// A message with both numbers, as elements and as attributes.
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    #[serde(rename = "row")]
    struct Row {
        #[serde(rename = "@version")]
        version: Stamp,
        #[serde(rename = "@fence")]
        fence: Fence,
        before: Vec<Stamp>,
        by: Option<Fence>,
    }

    fn row() -> Row {
        let fence = |number| Fence::new(number).expect("it is not zero");
        Row {
            version: stamp(7),
            fence: fence(u64::MAX),
            before: vec![Stamp::MIN, Stamp::MAX],
            by: Some(fence(3)),
        }
    }

    #[test]
    fn xml_is_read_as_it_is_written_in_elements_and_attributes() {
        let xml = quick_xml::se::to_string(&row()).expect("it can be written");
        assert_eq!(
            xml,
            "<row version=\"7\" fence=\"18446744073709551615\"><before>1</before>\
             <before>9223372036854775807</before><by>3</by></row>"
        );
        assert_eq!(quick_xml::de::from_str::<Row>(&xml).expect("it was written"), row());
    }

    #[test]
    fn an_xml_element_may_have_attributes_spaces_and_cdata_beside_its_number() {
        #[derive(serde::Deserialize)]
        struct Card {
            version: Stamp,
        }
        let read = |version: &str| {
            let xml = format!("<card><version{version}</version></card>");
            quick_xml::de::from_str::<Card>(&xml).map(|card| card.version)
        };
        for version in [">7", " xmlns=\"urn:cards\" unit=\"\">7", ">\n  7\n", "><![CDATA[7]]>", ">&#55;"] {
            assert_eq!(read(version).expect(version), stamp(7), "{version}");
        }
        for version in
            [">", ">07", ">7 8", ">-7", "><b>7</b>", " value=\"7\">", ">7<b/>", ">9223372036854775808"]
        {
            assert!(read(version).is_err(), "{version}");
        }
    }

    #[test]
    fn a_map_is_no_number_unless_it_is_how_a_format_shows_a_text() {
        for json in [
            r#"{}"#,
            "[7]",
            r#"" 7""#,
            r#"{"version":7}"#,
            r#"{"version":"7"}"#,
            r#"{"$text":7}"#,
            r#"{"$text":["7"]}"#,
            r#"{"$text":{"$text":"7"}}"#,
            r#"{"$text":"7","$text":"7"}"#,
            r#"{"$text":"7","unit":"m"}"#,
            r#"{"@unit":"m"}"#,
            r#"{"@unit":7,"$text":"7"}"#,
            r#"{"@unit":[1,{"b":2}],"$text":"7"}"#,
            r#"{"$serde_json::private::Number":7}"#,
            r#"{"$serde_json::private::Number":" 7"}"#,
            r#"{"$serde_json::private::Number":"7","@unit":"m"}"#,
            r#"{"@unit":"m","$serde_json::private::Number":"7"}"#,
            r#"{"$serde_json::private::Number":"7","$text":"7"}"#,
            r#"{"$text":"7","$serde_json::private::Number":"7"}"#,
            r#"{"$serde_json::private::Number":"7","$serde_json::private::Number":"7"}"#,
        ] {
            assert!(serde_json::from_str::<Stamp>(json).is_err(), "{json}");
            assert!(serde_json::from_str::<Fence>(json).is_err(), "{json}");
        }
        let element = serde_json::from_str::<Stamp>(r#"{"@unit":"m","$text":" 7\n","@lang":"en"}"#);
        assert_eq!(element.ok(), Some(stamp(7)));
        // As serde_json shows each number with its feature `arbitrary_precision`.
        let entry = |text| {
            [
                Token::Map { len: Some(1) },
                Token::Str("$serde_json::private::Number"),
                Token::Str(text),
                Token::MapEnd,
            ]
        };
        assert_de_tokens(&stamp(7).readable(), &entry("7"));
        assert_de_tokens_error::<serde_test::Readable<Stamp>>(
            &entry("7.5")[..3],
            "not a stamp: it has a character that is not a digit",
        );
    }

    #[test]
    fn json_keys_and_flattened_messages_and_yaml_are_read_as_they_are_written() {
        use std::collections::BTreeMap;

        let keys = BTreeMap::from([(stamp(7), Fence::new(8).expect("it is not zero"))]);
        let json = serde_json::to_string(&keys).expect("it can be written");
        assert_eq!(json, r#"{"7":"8"}"#);
        assert_eq!(serde_json::from_str::<BTreeMap<Stamp, Fence>>(&json).ok(), Some(keys));

        #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
        struct Outer {
            #[serde(flatten)]
            card: Card,
        }
        #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
        struct Card {
            version: Stamp,
        }
        let outer = Outer { card: Card { version: stamp(7) } };
        let json = serde_json::to_string(&outer).expect("it can be written");
        assert_eq!(serde_json::from_str::<Outer>(&json).expect("it was written"), outer);
        let xml = quick_xml::se::to_string_with_root("card", &outer).expect("it can be written");
        assert_eq!(quick_xml::de::from_str::<Outer>(&xml).expect("it was written"), outer);

        for yaml in ["version: 7", "version: '7'", "version: \"7\""] {
            let read = serde_saphyr::from_str::<BTreeMap<String, Stamp>>(yaml).expect("it is YAML");
            assert_eq!(read["version"], stamp(7), "{yaml}");
        }
    }
}
