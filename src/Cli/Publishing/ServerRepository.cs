namespace Coppice.Cli.Publishing;

static class ServerRepository
{
    public static IReleaseRepository Open(Uri url, string? token, string keys, TimeProvider time) => throw new PublicationException($"{url}{token}{keys}{time}");
}
