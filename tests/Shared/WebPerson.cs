using System.Net;
using System.Text.RegularExpressions;

namespace Coppice.Tests;

/// <summary>Somebody in front of a browser without scripts, who logs in wherever they are asked to and says yes to everything.</summary>
sealed partial class WebPerson(string login) : IDisposable
{
    readonly HttpClient http = new(new SocketsHttpHandler { CookieContainer = new(), AllowAutoRedirect = true });

    /// <summary>Opens a page and submits forms until there is none.</summary>
    /// <returns>The text of the last page.</returns>
    public async Task<string> GoAsync(string address)
    {
        var page = await http.GetAsync(address);
        for (var pages = 0; pages < 12; pages++)
        {
            var text = await page.Content.ReadAsStringAsync();
            Assert.True(page.IsSuccessStatusCode, $"{page.RequestMessage!.RequestUri} answers {(int)page.StatusCode}: {text}");
            if (Form().Match(text) is not { Success: true, Value: var form })
                return text;
            var fields = Input().Matches(form).Select(input => input.Value).Where(input => Name().IsMatch(input))
                .ToDictionary(input => Name().Match(input).Groups[1].Value, input => WebUtility.HtmlDecode(Value().Match(input).Groups[1].Value), StringComparer.Ordinal);
            if (fields.Remove("login"))
                (fields["login"], fields["password"]) = (login, "x");
            var action = new Uri(page.RequestMessage!.RequestUri!, WebUtility.HtmlDecode(Action().Match(form).Groups[1].Value));
            page.Dispose();
            page = await http.PostAsync(action, new FormUrlEncodedContent(fields));
        }

        throw new InvalidOperationException($"After twelve forms, {page.RequestMessage!.RequestUri} still shows another.");
    }

    public void Dispose() => http.Dispose();

    [GeneratedRegex("<form[^>]*>.*?</form>", RegexOptions.Singleline)]
    private static partial Regex Form();

    [GeneratedRegex("<input[^>]*>")]
    private static partial Regex Input();

    [GeneratedRegex("name=\"([^\"]+)\"")]
    private static partial Regex Name();

    [GeneratedRegex("value=\"([^\"]*)\"")]
    private static partial Regex Value();

    [GeneratedRegex("action=\"([^\"]+)\"")]
    private static partial Regex Action();
}
