using System.Text.Json;
using Coppice.Tests;

namespace Coppice.Core.Tests.Trust;

/// <summary>Published signature vectors in tests/Vectors.</summary>
sealed record SignatureVector(int Id, string Comment, string Key, byte[] Message, byte[] Signature, bool Valid)
{
    public static IReadOnlyList<SignatureVector> Read(string file)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(RepositoryRoot.Path, "tests", "Vectors", file)));
        return
        [
            .. from test in document.RootElement.GetProperty("tests").EnumerateArray()
               select new SignatureVector(
                   test.GetProperty("id").GetInt32(), test.GetProperty("comment").GetString()!, test.GetProperty("key").GetString()!,
                   Convert.FromHexString(test.GetProperty("msg").GetString()!), Convert.FromHexString(test.GetProperty("sig").GetString()!),
                   test.GetProperty("valid").GetBoolean()),
        ];
    }
}
