//! The words of a STIX pattern.

use super::pattern::PatternError;
use std::iter::Peekable;
use std::str::Chars;

/// A word of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Integer(String),
    Float(String),
    Time(String),
    Hex(String),
    Binary(String),
    Symbol(&'static str),
}

/// A word and its place, in characters from 1.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
}

/// Symbols; those that begin with another come first.
const SYMBOLS: [&str; 17] =
    ["==", "!=", "<>", "<=", ">=", "=", "<", ">", "[", "]", "(", ")", ":", ".", ",", "*", "!"];

/// Splits a pattern.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, PatternError> {
    let mut scanner = Scanner { rest: text.chars().peekable(), at: 1 };
    let mut tokens = Vec::new();
    loop {
        scanner.blanks()?;
        let at = scanner.at;
        let Some(token) = scanner.token()? else { return Ok(tokens) };
        tokens.push(Placed { token, at });
    }
}

struct Scanner<'t> {
    rest: Peekable<Chars<'t>>,
    at: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next();
        self.at += usize::from(letter.is_some());
        letter
    }

    fn second(&self) -> Option<char> {
        self.rest.clone().nth(1)
    }

    fn missing(&self, wanted: &'static str) -> PatternError {
        PatternError { at: self.at, wanted }
    }

    /// Skips blanks and comments.
    fn blanks(&mut self) -> Result<(), PatternError> {
        loop {
            match (self.rest.peek().copied(), self.second()) {
                (Some(letter), _) if letter.is_whitespace() => {
                    self.next();
                }
                (Some('/'), Some('/')) => {
                    while self.rest.peek().is_some_and(|letter| !"\r\n".contains(*letter)) {
                        self.next();
                    }
                }
                (Some('/'), Some('*')) => {
                    self.next();
                    self.next();
                    let mut last = None;
                    loop {
                        let letter = self.next().ok_or_else(|| self.missing("*/"))?;
                        if last == Some('*') && letter == '/' {
                            break;
                        }
                        last = Some(letter);
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn token(&mut self) -> Result<Option<Token>, PatternError> {
        let Some(&first) = self.rest.peek() else { return Ok(None) };
        let second = self.second();
        let token = match (first, second) {
            ('\'', _) => Token::Text(self.quoted()?),
            ('t', Some('\'')) => {
                self.next();
                Token::Time(self.quoted()?)
            }
            ('h', Some('\'')) => {
                self.next();
                Token::Hex(self.quoted()?)
            }
            ('b', Some('\'')) => {
                self.next();
                Token::Binary(self.quoted()?)
            }
            ('a'..='z' | 'A'..='Z' | '_', _) => Token::Word(self.word()),
            ('0'..='9' | '+' | '-', _) | ('.', Some('0'..='9')) => self.number()?,
            _ => self.symbol()?,
        };
        Ok(Some(token))
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(&letter) = self.rest.peek()
            && (letter.is_ascii_alphanumeric() || "_-".contains(letter))
        {
            word.push(letter);
            self.next();
        }
        word
    }

    /// A string: `\'` and `\\` are the only escapes.
    fn quoted(&mut self) -> Result<String, PatternError> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('\'') => return Ok(text),
                Some('\\') => match self.next() {
                    Some(letter @ ('\'' | '\\')) => text.push(letter),
                    _ => return Err(self.missing("' or \\ behind \\")),
                },
                Some(letter) => text.push(letter),
                None => return Err(self.missing("'")),
            }
        }
    }

    fn number(&mut self) -> Result<Token, PatternError> {
        let mut text = String::new();
        while let Some(&letter) = self.rest.peek()
            && (letter.is_ascii_digit()
                || letter == '.'
                || text.is_empty() && "+-".contains(letter))
        {
            text.push(letter);
            self.next();
        }
        let digits = text.trim_start_matches(['+', '-']);
        let is_whole = |text: &str| {
            text == "0"
                || !text.starts_with('0') && text.bytes().all(|octet| octet.is_ascii_digit())
        };
        match digits.split_once('.') {
            None if !digits.is_empty() && is_whole(digits) => Ok(Token::Integer(text)),
            Some((_, fraction)) if !fraction.is_empty() && !fraction.contains('.') => {
                Ok(Token::Float(text))
            }
            _ => Err(self.missing("a number")),
        }
    }

    fn symbol(&mut self) -> Result<Token, PatternError> {
        let pair: String = self.rest.clone().take(2).collect();
        let found = SYMBOLS.into_iter().find(|symbol| pair.starts_with(symbol));
        let symbol = found.ok_or_else(|| self.missing("a valid character"))?;
        for _ in symbol.chars() {
            self.next();
        }
        Ok(Token::Symbol(symbol))
    }
}
