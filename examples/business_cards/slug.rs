//! Slugs: the part of a card's address that people read.

/// Enough for a name; the address may be read out on the telephone.
const MAX_SLUG: usize = 48;

/// What a name without any Latin letter or digit is called.
const NAMELESS: &str = "card";

/// Without vowels, so that no words come of it, and without what is easily misread.
const SUFFIX: &[u8] = b"23456789bcdfghjkmnpqrstvwxyz";

/// Lower-case ASCII letters and digits of the name, with a hyphen for whatever is between them.
pub(crate) fn slugify(name: &str) -> String {
    let mut slug = String::new();
    let mut gap = false;
    for letter in name.chars().flat_map(char::to_lowercase) {
        // An apostrophe and a combining accent join what is around them.
        if matches!(letter, '\'' | '’' | '\u{300}'..='\u{36f}') {
            continue;
        }
        let mut buffer = [0; 4];
        let Some(ascii) = ascii(letter, &mut buffer) else {
            gap = true;
            continue;
        };
        let hyphen = usize::from(gap && !slug.is_empty());
        if slug.len() + hyphen + ascii.len() > MAX_SLUG {
            break;
        }
        if hyphen == 1 {
            slug.push('-');
        }
        slug.push_str(ascii);
        gap = false;
    }
    if slug.is_empty() { NAMELESS.to_owned() } else { slug }
}

/// The slug with a random suffix, which is longer for every attempt: short addresses as long as there are
/// some, and room for everybody afterwards.
pub(crate) fn with_suffix(slug: &str, attempt: u32) -> String {
    let length = 2_usize.saturating_pow(attempt).min(16);
    let suffix = (0..length).map(|_| char::from(SUFFIX[fastrand::usize(..SUFFIX.len())]));
    slug.chars().chain(['-']).chain(suffix).collect()
}

/// The ASCII letters or digit for a letter in lower case, if there are any.
fn ascii(letter: char, buffer: &mut [u8; 4]) -> Option<&str> {
    Some(match letter {
        'a'..='z' | '0'..='9' => letter.encode_utf8(buffer),
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'ð' | 'ď' | 'đ' => "d",
        'è'..='ë' | 'ē' | 'ę' | 'ě' => "e",
        'ğ' => "g",
        'ì'..='ï' | 'ī' | 'ı' => "i",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => "o",
        'œ' => "oe",
        'ř' => "r",
        'ß' => "ss",
        'ś' | 'ş' | 'š' | 'ș' => "s",
        'ť' | 'ț' | 'ţ' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}
