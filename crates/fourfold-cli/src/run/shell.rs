//! The shell's language: quoting for it, and seeing whether a command needs it.

/// The shell that runs what needs one.
pub(crate) const SHELL: &str = "/bin/sh";

/// Words that mean something to the shell where a command begins.
const RESERVED: &[&[u8]] = &[
    b"case",
    b"coproc",
    b"do",
    b"done",
    b"elif",
    b"else",
    b"esac",
    b"fi",
    b"for",
    b"function",
    b"if",
    b"in",
    b"select",
    b"then",
    b"time",
    b"until",
    b"while",
];

/// Commands that only the shell has, or that act on the shell itself.
const BUILTINS: &[&[u8]] = &[
    b".",
    b":",
    b"alias",
    b"bg",
    b"break",
    b"cd",
    b"command",
    b"continue",
    b"eval",
    b"exec",
    b"exit",
    b"export",
    b"fc",
    b"fg",
    b"getopts",
    b"hash",
    b"jobs",
    b"local",
    b"read",
    b"readonly",
    b"return",
    b"set",
    b"shift",
    b"source",
    b"times",
    b"trap",
    b"type",
    b"ulimit",
    b"umask",
    b"unalias",
    b"unset",
    b"wait",
];

/// Appends `bytes` as one word of the shell: unchanged where it means itself, else in single quotes.
pub(crate) fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) && !RESERVED.contains(&bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'\'');
    for &byte in bytes {
        match byte {
            b'\'' => out.extend_from_slice(br"'\''"),
            byte => out.push(byte),
        }
    }
    out.push(b'\'');
}

/// Whether a byte of a command means itself to the shell, outside quotes.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./:@%+,=".contains(&byte)
}

/// Whether a command's first word has to be looked at by a shell.
pub(crate) fn first_word_needs_shell(word: &[u8]) -> bool {
    word.contains(&b'=') || RESERVED.contains(&word) || BUILTINS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::process::Command;

    fn quoted(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        quote(bytes, &mut out);
        out
    }

    /// What `/bin/sh` makes of the words, each ended by a NUL.
    fn as_the_shell_reads(words: &[Vec<u8>]) -> Vec<u8> {
        let mut script = b"printf '%s\\0'".to_vec();
        for word in words {
            script.push(b' ');
            script.extend(quoted(word));
        }
        let output =
            Command::new(SHELL).arg("-c").arg(OsString::from_vec(script)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        assert_eq!(quoted(b"src/a-b_c.rs"), b"src/a-b_c.rs");
        assert_eq!(quoted(b""), b"''");
        assert_eq!(quoted(b"it's"), br"'it'\''s'");
        assert_eq!(quoted(b"a=b"), b"'a=b'");
        assert_eq!(quoted(b"if"), b"'if'");
        assert_eq!(quoted(b"~"), b"'~'");
    }

    #[test]
    fn every_single_byte_survives_the_shell() {
        let words: Vec<Vec<u8>> = (1..=255).map(|byte| vec![byte]).collect();
        let expected: Vec<u8> = (1..=255).flat_map(|byte| [byte, 0]).collect();
        assert_eq!(as_the_shell_reads(&words), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_the_shell_prints_is_what_was_quoted(
            words in prop::collection::vec(prop::collection::vec(1u8..=255, 0..40), 1..8)
        ) {
            let expected: Vec<u8> = words.iter().flat_map(|word| [word, &[0u8][..]].concat()).collect();
            prop_assert_eq!(as_the_shell_reads(&words), expected);
        }

        #[test]
        fn what_looks_dangerous_is_what_was_quoted(word in "[-'\"$`\\\\!*?~#&;|<>(){}\\[\\] \\t\\n=a%]{0,30}") {
            let mut expected = word.clone().into_bytes();
            expected.push(0);
            prop_assert_eq!(as_the_shell_reads(&[word.into_bytes()]), expected);
        }
    }
}
