//! Lists that come page by page.

use doublon::client::ClientError;

/// Items of a page, at most, as the contract has it.
pub(super) const PAGE_SIZE_MAX: u32 = 1000;

/// Asks for one page after the other, until `limit` items or the end, and calls
/// `each` with every item. Gives their number.
pub(super) async fn all<T>(
    limit: Option<usize>,
    mut page: impl AsyncFnMut(u32, String) -> Result<(Vec<T>, String), ClientError>,
    mut each: impl FnMut(&T) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut count = 0;
    let mut token = String::new();
    while count < limit {
        let size = u32::try_from(limit - count).unwrap_or(PAGE_SIZE_MAX).min(PAGE_SIZE_MAX);
        let (items, next) = page(size, token).await?;
        for item in items.iter().take(limit - count) {
            each(item)?;
            count += 1;
        }
        if next.is_empty() {
            break;
        }
        token = next;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the numbers below 7, three a page at most, and an empty page between.
    async fn seven(size: u32, token: String) -> Result<(Vec<u32>, String), ClientError> {
        let start: u32 = token.trim_end_matches('-').parse().unwrap_or(0);
        if start == 3 && token == "3" {
            return Ok((Vec::new(), "3-".to_owned()));
        }
        let end = (start + size.min(3)).min(7);
        let next = if end < 7 { end.to_string() } else { String::new() };
        Ok(((start..end).collect(), next))
    }

    #[tokio::test]
    async fn pages_are_read_to_the_limit_or_the_end() {
        for (limit, expected) in [(None, 7), (Some(0), 0), (Some(3), 3), (Some(5), 5), (Some(9), 7)]
        {
            let mut seen = Vec::new();
            let each = |it: &u32| {
                seen.push(*it);
                Ok(())
            };
            assert_eq!(all(limit, seven, each).await.unwrap(), expected as usize);
            assert_eq!(seen, (0..expected).collect::<Vec<_>>());
        }
    }
}
