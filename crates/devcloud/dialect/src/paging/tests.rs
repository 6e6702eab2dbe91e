use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Page, within};
use crate::{ApiError, Form, request::DescribeTags};

fn page(form: &str, action: &'static str) -> Result<Page, ApiError> {
    let request: DescribeTags = Form::parse(&[form])?.decode()?;
    Page::check(action, request.max_results, request.next_token.as_deref(), 5)
}

#[test]
fn pages_follow_each_other_and_end() {
    let items: Vec<u32> = (0..12).collect();
    let key = |item: &u32| format!("{item:04}");
    let mut token = None;
    let mut seen = Vec::new();
    for expected in [5, 5, 2] {
        let form = token
            .map(|token| format!("&NextToken={token}"))
            .unwrap_or_default();
        let (part, next) = page(&format!("MaxResults=5{form}"), "A")
            .unwrap()
            .cut(items.clone(), key);
        assert_eq!(part.len(), expected);
        seen.extend(part);
        token = next;
    }
    assert_eq!(token, None);
    assert_eq!(seen, items);
}

#[test]
fn tokens_of_others_and_wrong_limits_are_refused() {
    let (_, token) = page("MaxResults=5", "A")
        .unwrap()
        .cut((0..9).collect(), |item| format!("{item}"));
    let form = format!("NextToken={}", token.unwrap());
    assert_eq!(page(&form, "B").unwrap_err().code, "InvalidNextToken");
    assert_eq!(
        page("NextToken=%21%21", "A").unwrap_err().code,
        "InvalidNextToken"
    );
    for limit in ["4", "1001", "x"] {
        assert_eq!(
            page(&format!("MaxResults={limit}"), "A").unwrap_err().code,
            "InvalidParameterValue"
        );
    }
}

#[test]
fn a_page_goes_on_after_the_last_item_also_when_that_is_gone() {
    let key = |item: &u32| format!("{item:04}");
    let (first, token) = page("MaxResults=5", "A").unwrap().cut((0..12).collect(), key);
    assert_eq!(first, [0, 1, 2, 3, 4]);
    let form = format!("MaxResults=5&NextToken={}", token.unwrap());
    for (items, expected) in [
        ((5..12).collect::<Vec<_>>(), &[5, 6, 7, 8, 9][..]),
        // New ones before the place are not seen, those after it are.
        (vec![1, 3, 4, 6, 20], &[6, 20]),
        (vec![0, 1], &[]),
        (Vec::new(), &[]),
    ] {
        let (second, _) = page(&form, "A").unwrap().cut(items, key);
        assert_eq!(second, expected);
    }
}

#[test]
fn a_page_that_is_just_full_has_no_next_one() {
    let key = |item: &u32| format!("{item:04}");
    for (count, more) in [(4, false), (5, false), (6, true)] {
        let (items, token) = page("MaxResults=5", "A").unwrap().cut((0..count).collect(), key);
        assert_eq!((items.len(), token.is_some()), (count.min(5) as usize, more));
    }
    let (all, token) = page("", "A").unwrap().cut((0..3000).collect(), key);
    assert_eq!(
        (all.len(), token),
        (3000, None),
        "without a limit everything comes"
    );
}

#[test]
fn a_page_is_asked_for_by_either_parameter() {
    let (_, token) = page("MaxResults=5", "A")
        .unwrap()
        .cut((0..9).collect(), |item| format!("{item}"));
    let token = format!("NextToken={}", token.unwrap());
    for (form, asked) in [
        ("", false),
        ("NextToken=", false),
        ("MaxResults=7", true),
        (&token, true),
    ] {
        assert_eq!(page(form, "A").unwrap().is_asked_for(), asked, "{form}");
    }
}

#[test]
fn tokens_that_nobody_was_given_are_refused() {
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for (token, good) in [
        (encoded("A\nitem"), true),
        (encoded("A\n"), false),
        (encoded("A"), false),
        (encoded("\nitem"), false),
        (encoded("a\nitem"), false),
        (encoded("A \nitem"), false),
        (URL_SAFE_NO_PAD.encode(b"A\n\xff"), false),
        (format!("{}%3D", encoded("A\nitem")), false),
        (format!("{}.", encoded("A\nitem")), false),
    ] {
        let read = page(&format!("NextToken={token}"), "A");
        assert_eq!(
            read.map(|page| page.is_asked_for())
                .map_err(|error| error.code.into_owned()),
            if good {
                Ok(true)
            } else {
                Err("InvalidNextToken".to_owned())
            },
            "{token}"
        );
    }
}

#[test]
fn limits_are_numbers_in_their_only_spelling_and_within_their_bounds() {
    for (text, taken) in [
        ("5", true),
        ("1000", true),
        ("4", false),
        ("1001", false),
        ("-5", false),
        ("0", false),
        ("+5", false),
        ("005", false),
        ("5.0", false),
        ("99999999999999999999", false),
    ] {
        let form = format!("MaxResults={}", text.replace('+', "%2B"));
        let checked = page(&form, "A");
        assert_eq!(checked.is_ok(), taken, "{text}");
        if let Err(error) = checked {
            assert_eq!(error.code, "InvalidParameterValue", "{text}");
            assert!(error.message.contains("MaxResults"), "{}", error.message);
        }
    }
}

#[test]
fn a_number_outside_its_bounds_is_told_with_them() {
    for (number, least, most, good) in [
        (1, 1, 64, true),
        (64, 1, 64, true),
        (0, 1, 64, false),
        (65, 1, 64, false),
    ] {
        let checked = within("HttpPutResponseHopLimit", number, least, most);
        assert_eq!(checked.is_ok(), good, "{number}");
        if let Err(error) = checked {
            assert_eq!(
                error.message,
                format!(
                    "Value ({number}) for parameter HttpPutResponseHopLimit is invalid. It must be a number from 1 to 64."
                )
            );
        }
    }
}

#[test]
fn a_page_can_be_made_to_begin_behind_any_item() {
    let page_of = |token: &str| page(&format!("NextToken={token}"), "A").unwrap();
    let first = page("MaxResults=5", "A").unwrap();
    for (key, expected) in [("2", vec![3, 4]), ("4", Vec::new()), ("0", vec![1, 2, 3, 4])] {
        let (rest, _) =
            page_of(&first.token(key)).cut((0..5).collect::<Vec<u32>>(), |item| format!("{item}"));
        assert_eq!(rest, expected, "{key}");
    }
}
