//! Fields are found by their names, also where others were likely.

use serde::{Deserialize, Serialize};

use super::{decode, encode};

#[test]
fn fields_go_by_their_names_whatever_comes_next_in_the_type() {
    #[derive(Serialize, PartialEq, Debug)]
    struct Written {
        b: u64,
        a: String,
        a_name_of_more_than_eight: bool,
        #[serde(rename = "größe")]
        size: f64,
        #[serde(rename = "a name that is longer than what has its length in its tag, which is 63")]
        long: Option<i16>,
        variant: Kind,
        more: u8,
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Kind {
        // As the field that is next.
        #[serde(rename = "variant")]
        One(u8),
        #[serde(rename = "more")]
        Two,
    }
    #[derive(Deserialize, PartialEq, Debug)]
    struct Read {
        #[serde(alias = "a")]
        a_long_one: String,
        #[serde(default)]
        missing: u8,
        #[serde(rename = "a name that is longer than what has its length in its tag, which is 63")]
        long: Option<i16>,
        a_name_of_more_than_eight: bool,
        b: i32,
        variant: Kind,
        #[serde(rename = "größe")]
        size: f64,
    }
    for variant in [Kind::One(3), Kind::Two] {
        let two = variant == Kind::Two;
        let written = Written {
            b: 70_000,
            a: "b".into(),
            a_name_of_more_than_eight: true,
            size: 1.5,
            long: Some(-7),
            variant,
            more: 1,
        };
        let read: Read = decode(&encode(&written, "value").unwrap(), "value").unwrap();
        let variant = if two { Kind::Two } else { Kind::One(3) };
        let expected = Read {
            a_long_one: "b".into(),
            missing: 0,
            long: Some(-7),
            a_name_of_more_than_eight: true,
            b: 70_000,
            variant,
            size: 1.5,
        };
        assert_eq!(read, expected);
    }
}
