//! STIX patterns (STIX 2.1 §9, and 2.0): the comparisons in them, and which of them stand alone.
//!
//! A comparison stands alone if the pattern matches whatever else there is: if only OR leads to it. Below AND, FOLLOWEDBY
//! or a qualifier it is conditional.

use super::token::{Placed, Token};

/// Deepest nesting of parentheses.
const MAX_DEPTH: u32 = 64;

/// Operator of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<`, `>`, `<=` or `>=`
    Order,
    /// `IN`
    In,
    /// `LIKE`, with `%` and `_` as wildcards.
    Like,
    /// `MATCHES`, with a regular expression.
    Matches,
    /// `ISSUBSET`
    IsSubset,
    /// `ISSUPERSET`
    IsSuperset,
    /// `EXISTS`, without a value.
    Exists,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Type of the object: `domain-name`.
    pub object: String,
    /// Path in it: `value`, `dst_ref.value`, `extensions.http-request-ext`, `resolves_to_refs[*].value`.
    pub path: String,
    /// Operator.
    pub operator: Operator,
    /// Values, without quotes and escapes; several for `IN`.
    pub values: Vec<String>,
    /// True with `NOT`, or for `!=`.
    pub is_negated: bool,
    /// True if the pattern has further conditions.
    pub is_conditional: bool,
}

/// Text that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a STIX pattern: {wanted} is missing at character {at}")]
pub struct PatternError {
    /// Place, in characters from 1.
    pub at: usize,
    /// The tokens that would be valid there.
    pub wanted: &'static str,
}

/// Parses a pattern into its comparisons.
///
/// # Errors
/// [`PatternError`] for the first place that is invalid.
pub fn parse_pattern(text: &str) -> Result<Vec<Comparison>, PatternError> {
    let tokens = super::token::tokens(text)?;
    let end = text.chars().count() + 1;
    let mut parser = Parser { tokens: &tokens, at: 0, end, depth: 0 };
    let comparisons = parser.observations()?;
    if parser.at < tokens.len() {
        return Err(parser.missing("the end, or AND, OR or FOLLOWEDBY"));
    }
    Ok(comparisons)
}

struct Parser<'t> {
    tokens: &'t [Placed],
    at: usize,
    end: usize,
    depth: u32,
}

fn set_conditional(comparisons: &mut [Comparison]) {
    for comparison in comparisons {
        comparison.is_conditional = true;
    }
}

type Comparisons = Result<Vec<Comparison>, PatternError>;

impl<'t> Parser<'t> {
    fn missing(&self, wanted: &'static str) -> PatternError {
        let at = self.tokens.get(self.at).map_or(self.end, |placed| placed.at);
        PatternError { at, wanted }
    }

    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at).map(|placed| &placed.token)
    }

    fn next(&mut self) -> Option<&'t Token> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(there)) if *there == symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(there)) if there == word)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let is_there = self.is_word(word);
        self.at += usize::from(is_there);
        is_there
    }

    fn eat_symbol(&mut self, symbol: &str) -> bool {
        let is_there = self.is_symbol(symbol);
        self.at += usize::from(is_there);
        is_there
    }

    fn symbol(&mut self, symbol: &'static str) -> Result<(), PatternError> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.missing(symbol)) }
    }

    fn word(&mut self, word: &'static str) -> Result<(), PatternError> {
        if self.eat_word(word) { Ok(()) } else { Err(self.missing(word)) }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Comparisons) -> Comparisons {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.missing("less nesting"));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// A chain of parts with a word between; more than one part makes all conditional unless the word is OR.
    fn chain(&mut self, word: &str, part: fn(&mut Self) -> Comparisons) -> Comparisons {
        let mut all = part(self)?;
        let mut is_chain = false;
        while self.eat_word(word) {
            is_chain = true;
            all.extend(part(self)?);
        }
        if is_chain && word != "OR" {
            set_conditional(&mut all);
        }
        Ok(all)
    }

    fn observations(&mut self) -> Comparisons {
        self.chain("FOLLOWEDBY", |parser| {
            parser.chain("OR", |parser| parser.chain("AND", Self::observation))
        })
    }

    /// `[...]` or `(...)`, and qualifiers.
    fn observation(&mut self) -> Comparisons {
        let mut inner = if self.eat_symbol("(") {
            let inner = self.nested(Self::observations)?;
            self.symbol(")")?;
            inner
        } else if self.eat_symbol("[") {
            let inner = self.comparisons()?;
            self.symbol("]")?;
            inner
        } else {
            return Err(self.missing("["));
        };
        while self.qualifier()? {
            set_conditional(&mut inner);
        }
        Ok(inner)
    }

    fn qualifier(&mut self) -> Result<bool, PatternError> {
        if self.eat_word("START") {
            self.time()?;
            self.word("STOP")?;
            self.time()?;
        } else if self.eat_word("WITHIN") {
            match self.next() {
                Some(Token::Integer(text) | Token::Float(text)) if !text.starts_with('-') => {}
                _ => return Err(self.back("a number of seconds")),
            }
            self.word("SECONDS")?;
        } else if self.eat_word("REPEATS") {
            match self.next() {
                Some(Token::Integer(text)) if !text.starts_with('-') => {}
                _ => return Err(self.back("a number of times")),
            }
            self.word("TIMES")?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// The error at the token that was just read.
    fn back(&mut self, wanted: &'static str) -> PatternError {
        self.at = self.at.saturating_sub(1);
        self.missing(wanted)
    }

    /// A timestamp; STIX 2.0 has a string.
    fn time(&mut self) -> Result<(), PatternError> {
        match self.next() {
            Some(Token::Time(_) | Token::Text(_)) => Ok(()),
            _ => Err(self.back("a timestamp")),
        }
    }

    fn comparisons(&mut self) -> Comparisons {
        self.chain("OR", |parser| parser.chain("AND", Self::comparison))
    }

    fn comparison(&mut self) -> Comparisons {
        if self.eat_symbol("(") {
            let inner = self.nested(Self::comparisons)?;
            self.symbol(")")?;
            return Ok(inner);
        }
        let mut is_negated = self.eat_word("NOT");
        if self.eat_word("EXISTS") {
            let (object, path) = self.object_path()?;
            return Ok(vec![Comparison {
                object,
                path,
                operator: Operator::Exists,
                values: Vec::new(),
                is_negated,
                is_conditional: false,
            }]);
        }
        if is_negated {
            return Err(self.missing("EXISTS"));
        }
        let (object, path) = self.object_path()?;
        is_negated = self.eat_word("NOT");
        let (operator, values) = self.test(&mut is_negated)?;
        Ok(vec![Comparison { object, path, operator, values, is_negated, is_conditional: false }])
    }

    /// An operator and its values.
    fn test(&mut self, is_negated: &mut bool) -> Result<(Operator, Vec<String>), PatternError> {
        let operator = match self.next() {
            Some(Token::Symbol("=" | "==")) => Operator::Equal,
            Some(Token::Symbol("!=" | "<>")) => {
                *is_negated = !*is_negated;
                Operator::Equal
            }
            Some(Token::Symbol("<" | ">" | "<=" | ">=")) => Operator::Order,
            Some(Token::Word(word)) => match word.as_str() {
                "IN" => return Ok((Operator::In, self.set()?)),
                "LIKE" => Operator::Like,
                "MATCHES" => Operator::Matches,
                "ISSUBSET" => Operator::IsSubset,
                "ISSUPERSET" => Operator::IsSuperset,
                _ => return Err(self.back("an operator")),
            },
            Some(_) => return Err(self.back("an operator")),
            None => return Err(self.missing("an operator")),
        };
        let is_text_only = !matches!(operator, Operator::Equal | Operator::Order);
        let value = match self.peek() {
            Some(Token::Text(_)) => self.literal(true)?,
            _ if is_text_only => return Err(self.missing("a string")),
            _ => self.literal(operator == Operator::Equal)?,
        };
        Ok((operator, vec![value]))
    }

    fn set(&mut self) -> Result<Vec<String>, PatternError> {
        self.symbol("(")?;
        let mut values = Vec::new();
        if self.eat_symbol(")") {
            return Ok(values);
        }
        loop {
            values.push(self.literal(true)?);
            if self.eat_symbol(")") {
                return Ok(values);
            }
            self.symbol(",")?;
        }
    }

    /// A literal; truth values only where they have a place.
    fn literal(&mut self, with_truth: bool) -> Result<String, PatternError> {
        match self.next() {
            Some(
                Token::Text(text)
                | Token::Integer(text)
                | Token::Float(text)
                | Token::Time(text)
                | Token::Hex(text)
                | Token::Binary(text),
            ) => Ok(text.clone()),
            Some(Token::Word(word)) if with_truth && (word == "true" || word == "false") => {
                Ok(word.clone())
            }
            Some(_) => Err(self.back("a value")),
            None => Err(self.missing("a value")),
        }
    }

    /// `type:member.member[*].'member'`
    fn object_path(&mut self) -> Result<(String, String), PatternError> {
        let Some(Token::Word(object)) = self.next() else {
            return Err(self.back("a type of objects"));
        };
        self.symbol(":")?;
        let mut path = self.member()?;
        loop {
            if self.eat_symbol(".") {
                path.push('.');
                path.push_str(&self.member()?);
            } else if self.eat_symbol("[") {
                match self.next() {
                    Some(Token::Integer(index)) if !index.starts_with('-') => {
                        path.extend(["[", index, "]"]);
                    }
                    Some(Token::Symbol("*")) => path.push_str("[*]"),
                    _ => return Err(self.back("a number or *")),
                }
                self.symbol("]")?;
            } else {
                return Ok((object.clone(), path));
            }
        }
    }

    fn member(&mut self) -> Result<String, PatternError> {
        match self.next() {
            Some(Token::Word(text) | Token::Text(text)) => Ok(text.clone()),
            _ => Err(self.back("a member")),
        }
    }
}
